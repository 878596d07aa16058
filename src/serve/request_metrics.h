#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/histogram.h"

/// What is measured of requests, model by model, since the server started. On the I/O thread, without locks.
namespace sutazai::serve {

/// Events a second over the last ten whole seconds.
class RateMeter {
  public:
    using Clock = std::chrono::steady_clock;

    void add(std::uint64_t n, Clock::time_point now) {
        const std::int64_t second = second_of(now);
        Slot& slot = slots_[place_of(second)];
        if (slot.second != second) slot = {second, 0};
        slot.n += n;
    }
    [[nodiscard]] double per_s(Clock::time_point now) const {
        const std::int64_t second = second_of(now);
        std::uint64_t n = 0;
        for (const Slot& slot : slots_) n += slot.second < second && slot.second >= second - kSeconds ? slot.n : 0;
        return static_cast<double>(n) / kSeconds;
    }

  private:
    static constexpr std::int64_t kSeconds = 10;
    struct Slot {
        std::int64_t second = -1;
        std::uint64_t n = 0;
    };
    static std::int64_t second_of(Clock::time_point now) {
        return std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    }
    static std::size_t place_of(std::int64_t second) { return static_cast<std::size_t>(second) % 16; }

    std::array<Slot, 16> slots_{};
};

/// Of one model. The histograms are of chats and completions; all but `ttft` and `itl` of those that ended well.
struct ModelMetrics {
    Histogram ttft;     ///< from the request's arrival to its first text
    Histogram itl;      ///< between two pieces of text of one generation
    Histogram queue;    ///< in the engine, before the prompt was begun with
    Histogram prefill;  ///< from there to the first token
    Histogram decode;   ///< from there to the last
    Histogram e2e;      ///< from the request's arrival to its end
    RateMeter tokens;   ///< generated

    std::map<std::string_view, std::uint64_t> outcomes;  ///< of requests; the keys are RequestRecord::outcome()'s
    std::uint64_t requests = 0;                          ///< that have ended
    std::uint64_t prompt_tokens = 0;                     ///< of generations that ended well
    std::uint64_t cached_tokens = 0;                     ///< of these
    std::uint64_t generated_tokens = 0;                  ///< that have come, whatever became of the request
    std::uint64_t reasoning_tokens = 0;                  ///< of those that ended well
};

/// Keyed by the catalogue's names of the models that had requests; "" for requests that found no model. References stay
/// good.
using RequestMetrics = std::map<std::string, ModelMetrics, std::less<>>;

}  // namespace sutazai::serve
