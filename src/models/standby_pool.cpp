#include "models/standby_pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "models/process_memory.h"

namespace sutazai::models {
namespace {

/// What a process that stands by takes before one has been measured.
constexpr std::uint64_t kUsualBytes = 24 << 20;
/// From a start until the process is up and is measured.
constexpr std::chrono::milliseconds kUntilUp{500};

}  // namespace

StandbyPool::StandbyPool(Options options, Surroundings surroundings)
    : options_(std::move(options)), surroundings_(std::move(surroundings)), bytes_each_(kUsualBytes) {}

void StandbyPool::open(const boost::asio::any_io_executor& executor) {
    if (options_.wanted == 0 || timer_ != nullptr) return;
    timer_ = std::make_unique<boost::asio::steady_timer>(executor);
    adjust();
}

ipc::OwnedEngine StandbyPool::take() {
    while (!standing_by_.empty()) {
        auto engine = std::move(standing_by_.front());
        standing_by_.erase(standing_by_.begin());
        if (engine->process_ended()) continue;  // killed just now
        options_.backoff.forget();
        return engine;
    }
    return nullptr;
}

std::vector<StandbyStatus> StandbyPool::status() const {
    std::vector<StandbyStatus> out;
    for (const auto& engine : standing_by_) {
        const auto memory = memory_of(engine->pid());
        if (memory) out.push_back({engine->pid(), memory->total()});
    }
    return out;
}

std::size_t StandbyPool::n_to_have() const {
    return std::min<std::size_t>(options_.wanted, surroundings_.free_bytes() / std::max<std::uint64_t>(bytes_each_, 1));
}

void StandbyPool::adjust() {
    if (timer_ == nullptr) return;
    const std::size_t wanted = n_to_have();
    while (standing_by_.size() > wanted) standing_by_.pop_back();
    const auto now = Clock::now();
    if (standing_by_.size() == wanted || looks_at_ <= now + options_.settle) return;
    missing_since_ = now;
    look_at(now + options_.settle);
}

void StandbyPool::on_timer() {
    const auto now = Clock::now();
    for (const auto& engine : standing_by_) {
        const auto memory = memory_of(engine->pid());
        if (memory && memory->total() > 0) bytes_each_ = memory->total();
    }
    if (standing_by_.size() >= n_to_have()) return adjust();
    if (options_.backoff.refuses(now)) return look_at(options_.backoff.retry_at());
    if (!surroundings_.quiet() && now < missing_since_ + options_.most) return look_at(now + options_.settle);
    start_one();
    missing_since_ = now;
    look_at(now + (standing_by_.size() < n_to_have() ? options_.settle : kUntilUp));
}

void StandbyPool::start_one() {
    const auto now = Clock::now();
    auto engine = ipc::EngineClient::stand_by(timer_->get_executor(), options_.executable, options_.arguments);
    if (!engine) {
        options_.backoff.load_failed(now);
        spdlog::warn("no engine process stands by: {}", engine.error().message);
        return;
    }
    (*engine)->on_exit([weak = weak_from_this(), engine = engine->get(), now](bool, const std::string& why) {
        if (const auto self = weak.lock()) self->on_exit(engine, why, now);
    });
    spdlog::debug("engine process {} stands by", (*engine)->pid());
    standing_by_.push_back(std::move(*engine));
}

void StandbyPool::on_exit(const ipc::EngineClient* engine, const std::string& why, Clock::time_point started) {
    const auto now = Clock::now();
    spdlog::warn("standing by: {}", why);
    options_.backoff.crashed(now, now - started);
    std::erase_if(standing_by_, [&](const auto& one) { return one.get() == engine; });
    adjust();
}

void StandbyPool::look_at(Clock::time_point when) {
    looks_at_ = when;
    timer_->expires_at(when);
    timer_->async_wait([weak = weak_from_this()](boost::system::error_code error) {
        const auto self = weak.lock();
        if (error || !self || self->timer_ == nullptr) return;
        self->looks_at_ = Clock::time_point::max();
        try {
            self->on_timer();
        } catch (const std::exception& thrown) {
            spdlog::error("keeping engines standing by failed: {}", thrown.what());
            self->look_at(Clock::now() + kUntilUp);
        }
    });
}

void StandbyPool::close() {
    timer_.reset();
    standing_by_.clear();
}

}  // namespace sutazai::models
