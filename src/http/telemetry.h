#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "status/telemetry_json.h"

namespace sutazai::http {

struct Services;

/// What all who watch the telemetry are sent: made at most once in kTick and once for all of them, and not at all while
/// nobody asks. On the I/O thread.
class Telemetry {
  public:
    static constexpr std::chrono::milliseconds kTick{250};
    /// With more models than these a look takes long enough to be worth a second.
    static constexpr std::size_t kManyModels = 200;

    using Clock = std::chrono::steady_clock;
    using Line = std::shared_ptr<const std::string>;

    /// The newest line for one who has had line number `seen` (0: none), which becomes the newest; null when that is
    /// known already. One who has missed a line gets everything.
    [[nodiscard]] Line next(const Services& services, std::uint64_t& seen);
    /// When there may be another one.
    [[nodiscard]] Clock::time_point next_look() const { return looked_ + pause_; }
    [[nodiscard]] std::uint64_t looks() const { return sequence_; }  ///< so far

  private:
    void look(const Services& services);

    Clock::time_point looked_{};
    Clock::duration pause_ = kTick;
    std::uint64_t sequence_ = 0;
    status::TelemetryLook last_;
    Line delta_;
    Line snapshot_;  // made when the first needs it
};

}  // namespace sutazai::http
