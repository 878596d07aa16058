#pragma once

#include <functional>
#include <string>
#include <thread>

namespace sutazai::engine {

/// Called on a thread that dies of an exception, with the reason as a sentence. It ends the process: what the thread
/// left behind cannot be relied on.
using OnDeath = std::function<void(const std::string& why)>;

/// A thread that runs `loop`. What leaves it as an exception goes to `on_death`: "the decode thread died: ...".
[[nodiscard]] std::jthread guarded_thread(const char* name, OnDeath on_death, std::function<void()> loop);

/// From now on the calling thread comes after others that want the processor.
void stand_back();

/// Logs the reason and ends the process.
[[noreturn]] void end_process(const std::string& why);

}  // namespace sutazai::engine
