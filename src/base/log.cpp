#include "base/log.h"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "base/json_text.h"
#include "base/visible_text.h"

namespace sutazai::log {
namespace {

constexpr std::size_t kMostWaiting = 8192;  // lines

/// Puts the message as a JSON string into the pattern's place.
class JsonMessageFlag : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg& msg, const std::tm&, spdlog::memory_buf_t& out) override {
        std::string quoted;
        append_quoted(quoted, {msg.payload.data(), msg.payload.size()});
        quoted = visible_json(quoted);
        out.append(quoted.data(), quoted.data() + quoted.size());
    }
    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return spdlog::details::make_unique<JsonMessageFlag>();
    }
};

/// The message as one line that does nothing to a terminal.
class TextMessageFlag : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg& msg, const std::tm&, spdlog::memory_buf_t& out) override {
        const std::string shown = visible({msg.payload.data(), msg.payload.size()});
        out.append(shown.data(), shown.data() + shown.size());
    }
    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return spdlog::details::make_unique<TextMessageFlag>();
    }
};

}  // namespace

void init(std::string_view level, bool json, std::string_view process, Writing writing) {
    spdlog::sink_ptr sink;
    if (json) {
        sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
        sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    }
    std::shared_ptr<spdlog::logger> logger;
    if (writing == Writing::kBeside) {
        spdlog::init_thread_pool(kMostWaiting, 1);
        logger = std::make_shared<spdlog::async_logger>("sutazai", std::move(sink), spdlog::thread_pool(),
                                                        spdlog::async_overflow_policy::overrun_oldest);
    } else {
        logger = std::make_shared<spdlog::logger>("sutazai", std::move(sink));
    }
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    if (json) {
        std::string pattern = R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","process":)";
        append_quoted(pattern, process);
        formatter->add_flag<JsonMessageFlag>('*').set_pattern(pattern + R"(,"msg":%*})");
    } else {
        formatter->add_flag<TextMessageFlag>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ [" + std::string(process) +
                                                              "] %*");
    }
    logger->set_formatter(std::move(formatter));
    logger->set_level(spdlog::level::from_str(std::string(level)));
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
}

bool finish(std::chrono::milliseconds patience) {
    const auto done = std::make_shared<std::promise<void>>();
    auto finished = done->get_future();
    std::thread([done] {
        spdlog::shutdown();
        done->set_value();
    }).detach();
    return finished.wait_for(patience) == std::future_status::ready;
}

}  // namespace sutazai::log
