#include "serve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/blocking_pool.h"
#include "base/log.h"
#include "base/thrown.h"
#include "catalog/catalog.h"
#include "cli/model_files.h"
#include "cli/setting_flags.h"
#include "cli/setting_notes.h"
#include "http/server.h"
#include "models/model_manager.h"

namespace sutazai::app {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::milliseconds;

/// Time for cut streams to hand their error on, however busy the machine is.
constexpr milliseconds kLastWords{2000};
/// Time for the last lines of the log to be written.
constexpr milliseconds kLastLines{2000};
/// Supervisors may signal a process and its group: what comes so soon after the first signal is still that one.
constexpr milliseconds kOneSignal{100};

int report(const Error& error) {
    fmt::print(stderr, "sutazai: {}\n", error.message);
    return 1;
}

/// Each connection and each engine takes a descriptor; the usual soft limit of 1024 is for programs that use select().
void raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);  // what it was before is good for most
}

bool is_loopback(const std::string& host) {
    if (host == "localhost") return true;
    boost::system::error_code no_address;
    const auto address = asio::ip::make_address(host, no_address);
    return !no_address && address.is_loopback();
}

std::string url(const std::string& host, std::uint16_t port) {
    const bool is_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
    return is_v6 ? fmt::format("http://[{}]:{}", host, port) : fmt::format("http://{}:{}", host, port);
}

/// The catalogue; with the toy model when there is nothing else to offer.
Result<catalog::Catalog> open_models(const config::Settings& settings, const std::filesystem::path& executable) {
    // The stores may hold thousands of small files, which are read while the server listens already.
    constexpr auto kNear = catalog::Scanner::Extent::kNear;
    auto catalog = cli::open_catalog(settings, executable, kNear);
    if (!catalog) return catalog;
    if (settings.models.empty() && settings.upstreams.empty() && catalog->list().empty()) {
        if (const auto made = cli::make_toy_model(settings); !made) return std::unexpected(made.error());
        catalog = cli::open_catalog(settings, executable, kNear);
        if (!catalog) return catalog;
    }
    for (const auto& name : settings.model_order) {
        if (!catalog->find(name)) {
            spdlog::warn("model {}: there is no file {}; requests for it will fail", name, settings.models.at(name));
        }
    }
    const std::string preferred = catalog->default_model();
    if (preferred == cli::kToyModel) {
        spdlog::warn(
            "no model is configured: offering {}, whose weights, and so whose words, are random. Put GGUF files into "
            "{} "
            "or name them with --model NAME=PATH.",
            cli::kToyModel, settings.models_dir);
    }
    std::vector<std::string> names;
    for (const auto& file : catalog->list()) names.push_back(file.name);
    spdlog::info("models: {}; default: {}", fmt::join(names, ", "), preferred.empty() ? "none" : preferred);
    for (const std::string& note : catalog->notes()) spdlog::info("models: {}", note);
    return catalog;
}

/// One after the other, so that the first one is ready as soon as can be, and each only where there is room: requests
/// that come meanwhile have a better claim.
asio::awaitable<void> warm_up(models::AdvancedModelManager& models) {
    if (!models.knows_startup_models()) co_await models.catch_up();
    for (const auto& name : models.startup_models()) {
        try {
            const auto warmed = co_await models.warm_if_room(name);
            if (!warmed) spdlog::warn("model {}: not warmed: {}", name, warmed.error().message);
        } catch (const std::exception& error) {
            spdlog::error("model {}: not warmed: {}", name, error.what());
        }
    }
}

/// Until the last coroutine has ended, whatever a handler throws: one that fails must not take the others with it.
void run_to_end(asio::io_context& io) {
    for (;;) {
        try {
            io.run();
            return;
        } catch (const std::exception& error) {
            spdlog::error("the I/O thread goes on after: {}", error.what());
        } catch (...) {
            spdlog::error("the I/O thread goes on after an exception of no known kind");
        }
    }
}

/// Past the deadline the engines go first, so that the sessions can still tell their clients why.
asio::awaitable<void> drain(const config::Settings& settings, http::Server& server,
                            models::AdvancedModelManager& models) {
    const milliseconds limit = std::chrono::seconds(settings.drain_timeout_s);
    co_await (models.drain(limit) && server.drain(limit + kLastWords));
}

asio::awaitable<void> second_signal(asio::signal_set& signals) {
    const auto first = std::chrono::steady_clock::now();
    do {
        co_await signals.async_wait(asio::use_awaitable);
    } while (std::chrono::steady_clock::now() - first < kOneSignal);
}

asio::awaitable<void> drain_on_signal(const config::Settings& settings, http::Server& server,
                                      models::AdvancedModelManager& models) {
    asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM);
    const int signal = co_await signals.async_wait(asio::use_awaitable);
    spdlog::info(
        "{}: no new requests are taken; {} running ones, and what is kept as artifacts, have {} s; a second SIGINT or "
        "SIGTERM ends at once",
        signal == SIGINT ? "SIGINT" : "SIGTERM", models.open_requests(), settings.drain_timeout_s);
    const auto ended = co_await (drain(settings, server, models) || second_signal(signals));
    if (ended.index() == 1) spdlog::warn("second signal: ending at once");
}

/// Between two steps an engine's threads wait in libgomp, which would keep its processors from other engines for
/// milliseconds. Within a step they meet at kernels/team_barrier.h. libgomp reads this when a process starts.
void let_idle_threads_sleep() {
    ::setenv("GOMP_SPINCOUNT", "1000", 0);  // NOLINT(concurrency-mt-unsafe): no other thread runs yet
}

/// Engines choose their kernels before they are told anything else.
void cap_cpu_level(const config::Settings& settings) {
    if (settings.cpu_level.empty()) return;
    ::setenv("SUTAZAI_CPU_LEVEL", settings.cpu_level.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): as above
}

int run(const config::Loaded& loaded, const std::filesystem::path& executable) {
    const config::Settings& settings = loaded.settings;
    auto catalog = open_models(settings, executable);
    if (!catalog) return report(catalog.error());
    if (const auto problem = cli::models_dir_problem(loaded); !problem.empty()) spdlog::warn("{}", problem);
    for (const std::string& note : cli::setting_notes(loaded, std::thread::hardware_concurrency())) {
        spdlog::warn("{}", note);
    }

    asio::io_context io(1);
    BlockingPool pool;
    models::Tuning tuning;
    tuning.usage_file = (std::filesystem::path(settings.home) / "usage").string();
    models::AdvancedModelManager models(settings, *catalog, pool, executable.string(), std::move(tuning));
    http::Server server(io, settings, models, *catalog, pool);

    std::exception_ptr failure;
    // Before the first request: a signal from here on is a drain.
    asio::co_spawn(io, drain_on_signal(settings, server, models), [&](const std::exception_ptr& thrown) {
        failure = thrown;
        io.stop();
    });
    io.poll();

    const auto port = server.listen();
    if (!port) return report(port.error());
    if (!is_loopback(settings.host) && settings.api_keys.empty() && settings.admin_api_keys.empty()) {
        spdlog::warn("HOST={} can be reached from other machines and API_KEYS is empty: whoever reaches it may use it",
                     settings.host);
    }
    fmt::print("listening on {}\n", url(settings.host, *port));
    std::fflush(stdout);

    models.watch_upstreams(io.get_executor());
    models.watch_files(io.get_executor());
    models.keep_standby(io.get_executor());
    if (settings.cache_warmup_on_startup) {
        asio::co_spawn(io, warm_up(models), [](const std::exception_ptr& thrown) {
            if (thrown) spdlog::error("warming up at the start failed: {}", text_of(thrown));
        });
    }
    run_to_end(io);
    if (failure) std::rethrow_exception(failure);
    spdlog::info("ended");
    return 0;
}

}  // namespace

int serve(const config::Loaded& loaded, const std::filesystem::path& executable) {
    raise_file_limit();
    let_idle_threads_sleep();
    cap_cpu_level(loaded.settings);
    // The I/O thread must not wait for whoever reads the log.
    cli::start_logging(loaded.settings, "server", log::Writing::kBeside);
    int code = 1;
    try {
        code = run(loaded, executable);
    } catch (const std::exception& error) {
        spdlog::error("ended: {}", error.what());
    }
    if (!log::finish(kLastLines)) std::_Exit(code);
    return code;
}

}  // namespace sutazai::app
