#include "upstream/upstreams.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <random>
#include <set>
#include <utility>

#include "upstream/remote_error.h"

namespace sutazai::upstream {

namespace asio = boost::asio;
using std::chrono::seconds;

namespace {

std::string random_name() {
    std::random_device random;
    return fmt::format("{}{:08x}{:08x}", kViaName, random(), random());
}

bool is_key(const std::string& text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

std::vector<Identity> identities(const config::Settings& settings) {
    std::vector<Identity> out;
    for (const auto& [name, address] : settings.upstreams) {
        const auto key = settings.upstream_keys.find(name);
        out.push_back({name, address, key == settings.upstream_keys.end() ? "" : key->second});
    }
    return out;
}

std::string id_of(const catalog::RemoteModel& model) {
    return model.address ? fmt::format("{} {}", model.address->text(), model.key_variable) : model.upstream;
}

}  // namespace

Upstreams::Upstreams(const config::Settings& settings)
    : configured_(identities(settings)),
      limits_{.connections = settings.upstream_connections,
              .waiting = settings.max_queue,
              .connect = seconds(settings.upstream_connect_timeout_s),
              .first_token = seconds(settings.upstream_first_token_timeout_s),
              .idle = seconds(settings.upstream_idle_timeout_s),
              .poll = seconds(settings.upstream_poll_s),
              .queue = seconds(settings.queue_timeout_s)},
      own_name_(random_name()) {}

Upstreams::~Upstreams() {
    close();
}

void Upstreams::live_on(const asio::any_io_executor& executor) {
    if (executor_) return;
    executor_ = executor;
    for (const Identity& identity : configured_) {
        all_.emplace(identity.name, std::make_shared<Upstream>(executor_, identity, limits_, own_name_));
    }
}

void Upstreams::watch(const asio::any_io_executor& executor, std::function<void()> on_names) {
    live_on(executor);
    watching_ = true;
    on_names_ = std::move(on_names);
    for (const Identity& identity : configured_) all_.at(identity.name)->watch(on_names_);
}

asio::awaitable<void> Upstreams::first_look() {
    std::vector<std::shared_ptr<Upstream>> all;
    all.reserve(all_.size());
    for (const auto& [id, upstream] : all_) all.push_back(upstream);
    for (const auto& upstream : all) co_await upstream->first_look();
}

std::vector<catalog::RemoteModel> Upstreams::models() const {
    std::vector<catalog::RemoteModel> out;
    for (const Identity& identity : configured_) {
        const auto upstream = all_.find(identity.name);
        if (upstream == all_.end()) continue;
        for (const std::string& name : upstream->second->names()) out.push_back({identity.name, name});
    }
    return out;
}

Result<Identity> Upstreams::identity_of(const catalog::RemoteModel& model) const {
    Identity identity;
    if (!model.address) return broken(fmt::format("there is no upstream '{}' in UPSTREAMS", model.upstream));
    identity.address = *model.address;
    if (model.key_variable.empty()) return identity;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment once the server runs
    const char* const key = std::getenv(model.key_variable.c_str());
    identity.key = key == nullptr ? "" : key;
    if (!is_key(identity.key)) {
        return broken(
            fmt::format("the environment variable {}, which models.toml names, holds no key", model.key_variable));
    }
    return identity;
}

Result<std::shared_ptr<RemoteModel>> Upstreams::find(const catalog::RemoteModel& model) {
    const std::string id = id_of(model);
    auto known = all_.find(id);
    if (known == all_.end()) {
        if (!executor_) return broken("no upstream is asked yet");
        auto identity = identity_of(model);
        if (!identity) return std::unexpected(std::move(identity.error()));
        auto made = std::make_shared<Upstream>(executor_, std::move(*identity), limits_, own_name_);
        // Its models are those that models.toml names; what it lists shows that it can be reached.
        if (watching_) made->watch(nullptr);
        known = all_.emplace(id, std::move(made)).first;
    }
    return known->second->model(model.model);
}

asio::awaitable<void> Upstreams::drain(Clock::time_point deadline) {
    std::vector<std::shared_ptr<Upstream>> all;
    all.reserve(all_.size());
    for (const auto& [id, upstream] : all_) all.push_back(upstream);
    for (const auto& upstream : all) {
        while (upstream->n_open() > 0 && Clock::now() < deadline) co_await upstream->call_ended().wait(deadline);
        upstream->cut({ErrorCode::kUnavailable, "The server is shutting down."});
    }
    close();
}

std::size_t Upstreams::n_open() const {
    std::size_t n = 0;
    for (const auto& [id, upstream] : all_) n += upstream->n_open();
    return n;
}

bool Upstreams::any_reachable() const {
    return std::ranges::any_of(all_, [](const auto& entry) { return entry.second->health() == Health::kReachable; });
}

void Upstreams::close() {
    watching_ = false;
    for (const auto& [id, upstream] : all_) upstream->stop();
}

std::vector<catalog::RemoteModel> list_remote_models(const config::Settings& settings) {
    if (settings.upstreams.empty()) return {};
    asio::io_context io;
    Upstreams all(settings);
    all.watch(io.get_executor(), [] {});
    bool looked = false;
    asio::co_spawn(io, all.first_look(), [&](const std::exception_ptr&) {
        looked = true;
        all.close();
    });
    while (!looked && io.run_one() > 0) {
    }
    std::vector<catalog::RemoteModel> models = all.models();
    io.run_for(seconds(1));  // until what was cancelled has ended
    return models;
}

}  // namespace sutazai::upstream
