#include "spans/exporter.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "ipc/run_blocking.h"
#include "spans/request_spans.h"
#include "upstream/connection.h"

namespace sutazai::spans {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// Requests that end together go together.
constexpr milliseconds kGather{500};
constexpr seconds kTimeout{5};  // of each step of an exchange
constexpr seconds kLastOnes{2};
constexpr milliseconds kFirstPause{500};
constexpr milliseconds kLongestPause{30'000};
constexpr std::uint64_t kMostAnswerBytes = 64 << 10;

UpstreamAddress address_of(std::string_view endpoint) {
    // Only the URL's parts matter; OTLP_ENDPOINT was checked in the same way.
    return parse_upstream(fmt::format("sutazai+{}", endpoint)).value_or(UpstreamAddress{});
}

}  // namespace

Exporter::Exporter(asio::any_io_executor executor, BlockingPool& pool, std::string_view endpoint, std::string version)
    : executor_(std::move(executor)), pool_(pool), address_(address_of(endpoint)), version_(std::move(version)) {
    if (!address_.tls) return;
    tls_.emplace(asio::ssl::context::tls_client);
    tls_->set_default_verify_paths();
    tls_->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                      asio::ssl::context::no_tlsv1_1);
}

void Exporter::start() {
    running_ = true;
    const auto ended = [self = shared_from_this()](const std::exception_ptr& thrown) {
        self->running_ = false;
        self->n_dropped_ += self->waiting_.size();
        self->waiting_.clear();
        self->ended_.notify();
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const boost::system::system_error& error) {
            if (error.code() != asio::error::operation_aborted) spdlog::error("spans: {}", error.what());
        } catch (const std::exception& error) {
            spdlog::error("spans: {}", error.what());
        }
    };
    asio::co_spawn(executor_, run(shared_from_this()), asio::bind_cancellation_slot(cancel_.slot(), ended));
}

void Exporter::add(const serve::RequestRecord& record) {
    if (!running_ || stopping_ || waiting_.size() >= kMostWaiting) {
        ++n_dropped_;
        return;
    }
    waiting_.push_back(record);
    if (waiting_.size() == 1 || waiting_.size() == kMostAtOnce) changed_.notify();
}

asio::awaitable<void> Exporter::stop() {
    const auto self = shared_from_this();
    stopping_ = true;
    changed_.notify();
    const auto deadline = Clock::now() + kLastOnes;
    while (running_ && Clock::now() < deadline) co_await ended_.wait(deadline);
    if (!running_) co_return;
    cancel_.emit(asio::cancellation_type::terminal);
    while (running_) co_await ended_.wait(ipc::Signal::kEver);
}

asio::awaitable<void> Exporter::run(std::shared_ptr<Exporter> self) {
    while (!self->waiting_.empty() || !self->stopping_) {
        while (self->waiting_.empty() && !self->stopping_) co_await self->changed_.wait(ipc::Signal::kEver);
        const auto gather = Clock::now() + std::max(kGather, self->pause_);
        while (!self->stopping_ && Clock::now() < gather &&
               (self->pause_.count() > 0 || self->waiting_.size() < kMostAtOnce)) {
            co_await self->changed_.wait(gather);
        }
        const std::size_t n = std::min(self->waiting_.size(), kMostAtOnce);
        if (n == 0) continue;
        const auto end = self->waiting_.begin() + static_cast<std::ptrdiff_t>(n);
        std::vector<serve::RequestRecord> records(std::make_move_iterator(self->waiting_.begin()),
                                                  std::make_move_iterator(end));
        self->waiting_.erase(self->waiting_.begin(), end);
        const Result<void> sent = co_await self->send(std::move(records));
        self->note(sent, n);
        if (!sent && self->stopping_) co_return;
    }
}

asio::awaitable<Result<void>> Exporter::send(std::vector<serve::RequestRecord> records) {
    auto encode = [records = std::move(records), version = version_]() -> Result<std::string> {
        std::vector<otlp::Span> spans;
        for (const serve::RequestRecord& record : records)
            std::ranges::move(spans_of(record), std::back_inserter(spans));
        if (spans.empty()) return std::string();
        return export_request(std::move(spans), version).SerializeAsString();
    };
    Result<std::string> body = co_await ipc::run_blocking(pool_, encode);
    if (!body) co_return std::unexpected(std::move(body.error()));
    if (body->empty()) co_return Result<void>{};  // none of them is sampled
    co_return co_await post(std::move(*body));
}

asio::awaitable<Result<void>> Exporter::post(std::string body) {
    upstream::Connection connection(executor_, tls_ ? &*tls_ : nullptr);
    UpstreamAddress address = address_;
    auto opened = co_await connection.open(std::move(address), kTimeout);
    if (!opened) co_return opened;
    std::string text = fmt::format(
        "POST {}/v1/traces HTTP/1.1\r\nHost: {}\r\nUser-Agent: sutazai/{}\r\nContent-Type: application/x-protobuf\r\n"
        "Content-Length: {}\r\nConnection: close\r\n\r\n",
        address_.path, address_.authority(), version_, body.size());
    text += body;
    error_code failure = co_await connection.send(std::move(text), kMostAnswerBytes, kTimeout);
    if (!failure) failure = co_await connection.read_head(kTimeout);
    if (failure) co_return fail(ErrorCode::kUpstreamFailed, upstream::reason_of(failure));
    if (connection.status() / 100 == 2) co_return Result<void>{};
    co_return fail(ErrorCode::kUpstreamFailed, fmt::format("it answers with status {}", connection.status()));
}

/// The log hears of a collector that is away once, and once of its return.
void Exporter::note(const Result<void>& sent, std::size_t n) {
    if (sent) {
        n_sent_ += n;
        if (pause_.count() > 0) spdlog::info("spans: OTLP_ENDPOINT takes them again; {} requests had none", n_dropped_);
        pause_ = {};
        return;
    }
    n_dropped_ += n;
    if (pause_.count() == 0) spdlog::warn("spans: not sent to OTLP_ENDPOINT: {}", sent.error().message);
    pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
}

}  // namespace sutazai::spans
