#include "engine/guarded_thread.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <cstdlib>
#include <exception>
#include <utility>

namespace sutazai::engine {

std::jthread guarded_thread(const char* name, OnDeath on_death, std::function<void()> loop) {
    return std::jthread([name, on_death = std::move(on_death), loop = std::move(loop)] {
        try {
            loop();
        } catch (const std::exception& e) {
            on_death(fmt::format("{} died: {}", name, e.what()));
        } catch (...) {
            on_death(fmt::format("{} died", name));
        }
    });
}

void stand_back() {
    // On Linux this is the thread's own.
    constexpr int kNice = 5;
    (void)setpriority(PRIO_PROCESS, 0, kNice);
}

void end_process(const std::string& why) {
    spdlog::critical("the engine ends: {}", why);
    std::_Exit(1);
}

}  // namespace sutazai::engine
