#include "http/telemetry.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>
#include <vector>

#include "http/routes.h"
#include "http/stream_sink.h"

namespace sutazai::http {

namespace asio = boost::asio;

void Telemetry::look(const Services& services) {
    const std::vector<models::ModelStatus> models = services.models.status();
    status::TelemetryLook now = status::telemetry_look(std::chrono::system_clock::now(), models, services.models.room(),
                                                       services.models.standby());
    ++sequence_;
    delta_ = std::make_shared<std::string>(status::telemetry_delta(sequence_, last_, now));
    snapshot_ = nullptr;
    last_ = std::move(now);
    looked_ = Clock::now();
    pause_ = models.size() > kManyModels ? 4 * kTick : kTick;
}

Telemetry::Line Telemetry::next(const Services& services, std::uint64_t& seen) {
    if (sequence_ == 0 || Clock::now() >= next_look()) look(services);
    if (seen == sequence_) return nullptr;
    const std::uint64_t had = std::exchange(seen, sequence_);
    if (had != 0 && had + 1 == sequence_) return delta_;
    if (!snapshot_) snapshot_ = std::make_shared<std::string>(status::telemetry_snapshot(sequence_, last_));
    return snapshot_;
}

asio::awaitable<Result<void>> get_telemetry(Services& services, Exchange& exchange) {
    if (!services.settings.performance_monitoring) {
        co_return fail(ErrorCode::kForbidden, "Telemetry is switched off (PERFORMANCE_MONITORING=false).");
    }
    StreamSink sink(exchange, kNdjson);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    // Whoever takes long to read a line is late for the next and gets what is newest then.
    for (std::uint64_t seen = 0; !services.draining;) {
        const Telemetry::Line line = services.telemetry.next(services, seen);
        if (line) {
            sink.buffer() += *line;
            if (auto sent = co_await sink.flush(); !sent) co_return sent;
        }
        timer.expires_at(services.telemetry.next_look());
        co_await timer.async_wait(asio::use_awaitable);
    }
    co_return co_await sink.finish();
}

}  // namespace sutazai::http
