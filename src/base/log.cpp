#include "base/log.h"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <cstdint>
#include <future>
#include <memory>
#include <thread>
#include <utility>

namespace sutazai::log {
namespace {

constexpr std::size_t kMostWaiting = 8192;  // lines

/// Length of the UTF-8 sequence that starts at `text[at]`, or 0 when the bytes there are no valid one (RFC 3629).
std::size_t sequence_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = byte(at);
    std::size_t length = 0;
    std::uint32_t code = 0;
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
        code = lead & 0x1FU;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        code = lead & 0x0FU;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        code = lead & 0x07U;
    } else {
        return 0;
    }
    if (at + length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(at + i) & 0xC0U) != 0x80) return 0;
        code = code << 6U | (byte(at + i) & 0x3FU);
    }
    const std::array<std::uint32_t, 5> smallest{0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < smallest.at(length) || code > 0x10FFFF || surrogate ? 0 : length;
}

/// Puts the message as a JSON string into the pattern's place.
class JsonMessageFlag : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg& msg, const std::tm&, spdlog::memory_buf_t& out) override {
        const std::string quoted = json_quote({msg.payload.data(), msg.payload.size()});
        out.append(quoted.data(), quoted.data() + quoted.size());
    }
    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return spdlog::details::make_unique<JsonMessageFlag>();
    }
};

}  // namespace

std::string json_quote(std::string_view text) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    std::string out = "\"";
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = sequence_length(text, i);
        const auto c = static_cast<unsigned char>(text[i]);
        if (length == 0) {
            out += "\\ufffd";
            ++i;
        } else if (length > 1) {
            out += text.substr(i, length);
            i += length;
        } else {
            if (c == '"' || c == '\\') {
                out += '\\';
                out += text[i];
            } else if (c == '\n') {
                out += "\\n";
            } else if (c < 0x20) {
                out += "\\u00";
                out += kHex[c >> 4U];
                out += kHex[c & 0xFU];
            } else {
                out += text[i];
            }
            ++i;
        }
    }
    out += '"';
    return out;
}

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
        formatter->add_flag<JsonMessageFlag>('*').set_pattern(
            R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","process":)" + json_quote(process) + R"(,"msg":%*})");
    } else {
        formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ [" + std::string(process) + "] %v");
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
