#include "serve/response_records.h"

#include <spdlog/spdlog.h>

namespace sutazai::serve {

namespace asio = boost::asio;

namespace {

constexpr std::int64_t kDayS = 86400;
constexpr std::chrono::seconds kBetweenComplaints{60};

}  // namespace

ResponseRecords::ResponseRecords(const config::Settings& settings)
    : store_(std::make_shared<responses::ResponseStore>(
          settings.home, responses::Limits{kDayS * settings.responses_retention_days, settings.responses_bytes})),
      keeps_(settings.responses_retention_days > 0 && !settings.home.empty()) {}

asio::awaitable<Result<void>> ResponseRecords::add(responses::Record record) {
    auto work = [record = std::move(record)](responses::ResponseStore& store, std::int64_t now) {
        return store.add(record, now);
    };
    return run(work);
}

asio::awaitable<Result<bool>> ResponseRecords::update(responses::Record record) {
    auto work = [record = std::move(record)](responses::ResponseStore& store, std::int64_t now) {
        return store.update(record, now);
    };
    return run(work);
}

void ResponseRecords::complain(const Error& error) {
    const auto now = std::chrono::steady_clock::now();
    if (now - complained_ < kBetweenComplaints) return;
    complained_ = now;
    spdlog::warn("responses are not stored: {}", error.message);
}

}  // namespace sutazai::serve
