#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "catalog/model_file.h"
#include "config/settings.h"
#include "upstream/upstream.h"

namespace sutazai::upstream {

/// All upstreams: those of UPSTREAMS, whose models are looked for, and those that models.toml names beside them. One
/// I/O thread.
class Upstreams {
  public:
    using Clock = std::chrono::steady_clock;

    explicit Upstreams(const config::Settings& settings);
    Upstreams(const Upstreams&) = delete;
    Upstreams& operator=(const Upstreams&) = delete;
    ~Upstreams();

    /// Before the first model is asked for.
    void live_on(const boost::asio::any_io_executor& executor);
    /// Looks for models, and at who can be reached, from now on. `on_names`: the models of UPSTREAMS are others.
    void watch(const boost::asio::any_io_executor& executor, std::function<void()> on_names);
    /// Returns when each of UPSTREAMS has listed its models once, or failed to.
    [[nodiscard]] boost::asio::awaitable<void> first_look();

    /// As the upstreams list them, the first of UPSTREAMS first.
    [[nodiscard]] std::vector<catalog::RemoteModel> models() const;

    /// kUpstreamFailed when it is of an upstream that there is none of, or whose key is missing.
    [[nodiscard]] Result<std::shared_ptr<RemoteModel>> find(const catalog::RemoteModel& model);

    /// Nothing more is begun; what runs may end until `deadline`, then it is cut.
    [[nodiscard]] boost::asio::awaitable<void> drain(Clock::time_point deadline);
    [[nodiscard]] std::size_t n_open() const;
    [[nodiscard]] bool any_reachable() const;
    void close();

  private:
    [[nodiscard]] Result<Identity> identity_of(const catalog::RemoteModel& model) const;

    std::vector<Identity> configured_;
    Limits limits_;
    std::string own_name_;
    boost::asio::any_io_executor executor_;
    std::function<void()> on_names_;
    bool watching_ = false;
    /// By "name", or "address key's variable" of those that models.toml describes alone.
    std::map<std::string, std::shared_ptr<Upstream>> all_;
};

/// Asks every upstream of the settings once, one after the other; blocks. For programs that are no server.
[[nodiscard]] std::vector<catalog::RemoteModel> list_remote_models(const config::Settings& settings);

/// What this server's Via headers begin with: another SutazAI shows such a one the models that it serves itself, so
/// that names do not go round.
inline constexpr const char* kViaName = "sutazai-";

}  // namespace sutazai::upstream
