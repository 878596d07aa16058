#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/blocking_pool.h"
#include "base/error.h"
#include "base/upstream_address.h"
#include "ipc/signal.h"
#include "serve/request_record.h"

namespace sutazai::spans {

/// Sends spans of requests that have ended to a collector, OTLP over HTTP, in batches. No request waits for it: while
/// the collector does not keep up, or is away, what comes is dropped and counted. One I/O thread; spans are made and
/// encoded on the pool. Made with make_shared.
class Exporter : public std::enable_shared_from_this<Exporter> {
  public:
    static constexpr std::size_t kMostWaiting = 2048;  ///< requests
    static constexpr std::size_t kMostAtOnce = 256;

    /// `endpoint`: an http or https URL as OTLP_ENDPOINT has it, to which "/v1/traces" is added. `pool` outlives it.
    Exporter(boost::asio::any_io_executor executor, BlockingPool& pool, std::string_view endpoint, std::string version);
    Exporter(const Exporter&) = delete;
    Exporter& operator=(const Exporter&) = delete;

    void start();
    void add(const serve::RequestRecord& record);
    /// Sends what waits, for two seconds at most, and returns when nothing runs any more.
    [[nodiscard]] boost::asio::awaitable<void> stop();

    [[nodiscard]] std::uint64_t n_sent() const { return n_sent_; }        ///< requests
    [[nodiscard]] std::uint64_t n_dropped() const { return n_dropped_; }  ///< the same

  private:
    using Clock = std::chrono::steady_clock;
    [[nodiscard]] static boost::asio::awaitable<void> run(std::shared_ptr<Exporter> self);
    [[nodiscard]] boost::asio::awaitable<Result<void>> send(std::vector<serve::RequestRecord> records);
    [[nodiscard]] boost::asio::awaitable<Result<void>> post(std::string body);
    void note(const Result<void>& sent, std::size_t n);

    boost::asio::any_io_executor executor_;
    BlockingPool& pool_;
    UpstreamAddress address_;
    std::string version_;
    std::optional<boost::asio::ssl::context> tls_;
    std::deque<serve::RequestRecord> waiting_;
    ipc::Signal changed_;
    ipc::Signal ended_;
    boost::asio::cancellation_signal cancel_;
    std::uint64_t n_sent_ = 0;
    std::uint64_t n_dropped_ = 0;
    std::chrono::milliseconds pause_{0};  // after a failure
    bool running_ = false;
    bool stopping_ = false;
};

}  // namespace sutazai::spans
