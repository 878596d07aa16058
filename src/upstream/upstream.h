#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/engine_stats.h"
#include "base/error.h"
#include "base/generation.h"
#include "base/upstream_address.h"
#include "ipc/signal.h"
#include "ipc/token_stream.h"
#include "upstream/pool.h"

/// Other servers that serve models for this one. All of it lives on the server's one I/O thread.
namespace sutazai::upstream {

/// Of each upstream. What they mean stands in the table of settings.
struct Limits {
    std::size_t connections = 64;
    std::size_t waiting = 512;
    std::chrono::milliseconds connect{5'000};
    std::chrono::milliseconds first_token{300'000};
    std::chrono::milliseconds idle{60'000};
    std::chrono::milliseconds poll{15'000};
    std::chrono::milliseconds queue{300'000};
    std::chrono::milliseconds first_pause{150};  ///< before the second try; each later one twice as long
};

/// Who it is and where.
struct Identity {
    std::string name;  ///< as UPSTREAMS has it; empty for one of models.toml alone
    UpstreamAddress address;
    std::string key;  ///< a bearer token; never shown

    /// For messages to whoever asks: without the address.
    [[nodiscard]] std::string label() const;
    /// For logs and administrators.
    [[nodiscard]] std::string shown() const;
};

enum class Health : std::uint8_t { kUnknown, kReachable, kUnreachable };

class RemoteModel;
struct Call;

/// One other server: its connections, whether it can be reached, and what models it lists.
class Upstream : public std::enable_shared_from_this<Upstream> {
  public:
    using Clock = std::chrono::steady_clock;

    /// `own_name`: this server's, in Via headers.
    Upstream(const boost::asio::any_io_executor& executor, Identity identity, Limits limits, std::string own_name);
    Upstream(const Upstream&) = delete;
    Upstream& operator=(const Upstream&) = delete;
    ~Upstream();

    /// Asks for its models now, and again and again until stop(): every `poll` while it can be reached, with a growing
    /// pause while it cannot. `on_names` is called when the list is another one.
    void watch(std::function<void()> on_names);
    void stop();
    /// Returns when the first list has come or failed, or was not asked for.
    [[nodiscard]] boost::asio::awaitable<void> first_look();

    [[nodiscard]] const Identity& identity() const { return identity_; }
    [[nodiscard]] const std::vector<std::string>& names() const { return names_; }  ///< the last list that came
    [[nodiscard]] Health health() const { return health_; }
    [[nodiscard]] const std::string& problem() const { return problem_; }  ///< while it cannot be reached
    [[nodiscard]] Pool& pool() { return *pool_; }

    /// Always the same object for one name.
    [[nodiscard]] std::shared_ptr<RemoteModel> model(const std::string& name);

    [[nodiscard]] boost::asio::awaitable<Result<std::vector<std::string>>> list_models();

    /// Asks the model, and writes what it answers into the channel, no faster than that is read; a reader who goes away
    /// closes the connection. Tried again only while nothing has come. Fails through the channel alone. The call that
    /// runs, for whoever may want to cancel it.
    std::weak_ptr<Call> start_streaming(std::shared_ptr<RemoteModel> model, GenerationRequest request,
                                        std::shared_ptr<ipc::TokenStream::Channel> channel);
    /// Ends all that is running with this error.
    void cut(const Error& error);
    [[nodiscard]] std::size_t n_open() const { return calls_.size(); }
    [[nodiscard]] ipc::Signal& call_ended() { return call_ended_; }

  private:
    friend struct Call;

    [[nodiscard]] static boost::asio::awaitable<void> keep_watch(std::shared_ptr<Upstream> self);
    [[nodiscard]] std::string request_text(std::string_view method, std::string_view path, std::string_view body,
                                           std::string_view via) const;
    [[nodiscard]] std::unique_ptr<Connection> new_connection();
    [[nodiscard]] std::chrono::milliseconds connect_timeout() const;
    void note_reachable();
    void note_unreachable(const std::string& why);

    boost::asio::any_io_executor executor_;
    const Identity identity_;
    const Limits limits_;
    const std::string own_name_;
    std::optional<boost::asio::ssl::context> tls_;
    std::shared_ptr<Pool> pool_;

    Health health_ = Health::kUnknown;
    std::string problem_;
    std::vector<std::string> names_;
    std::function<void()> on_names_;
    ipc::Signal changed_;  // health, or stopped
    ipc::Signal looked_;
    bool watching_ = false;
    bool has_looked_ = false;
    bool stopped_ = false;
    boost::asio::cancellation_signal end_watch_;

    std::map<std::string, std::shared_ptr<RemoteModel>> models_;
    std::unordered_set<Call*> calls_;
    ipc::Signal call_ended_;
};

/// One model of an upstream, for as long as it is known here.
class RemoteModel final : public ipc::Generator, public std::enable_shared_from_this<RemoteModel> {
  public:
    RemoteModel(Upstream& upstream, std::string name) : upstream_(upstream), name_(std::move(name)) {}

    [[nodiscard]] std::vector<ipc::TokenStream> submit_all(GenerationRequest request) override;

    [[nodiscard]] const Upstream& upstream() const { return upstream_; }
    [[nodiscard]] const std::string& name() const { return name_; }  ///< the other server's

    /// Leases given out since the server started, and those that are out.
    std::uint64_t requests = 0;
    std::size_t in_use = 0;
    std::optional<std::chrono::system_clock::time_point> last_used = {};
    EngineStats stats = {};       ///< what the other server says of its tokens, and what runs and waits here
    std::string last_error = {};  ///< of the last request, if it failed for the upstream's sake

  private:
    Upstream& upstream_;  // which owns it
    std::string name_;
};

}  // namespace sutazai::upstream
