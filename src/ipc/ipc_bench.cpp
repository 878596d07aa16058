// What one delta of one stream costs the server's I/O thread: streams of a fake engine are read by as many coroutines.
//   sutazai_ipc_bench [STREAMS] [TOKENS]     (100 and 3000)
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>

#include "ipc/engine_client.h"

namespace {

namespace asio = boost::asio;
using namespace sutazai;  // NOLINT(google-build-using-namespace)

struct Totals {
    std::uint64_t tokens = 0;
    std::uint64_t updates = 0;
    int running = 0;
};

double thread_cpu_s() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

asio::awaitable<void> read(ipc::TokenStream stream, Totals& totals, ipc::OwnedEngine& client) {
    for (bool last = false; !last;) {
        const GenerationUpdate update = co_await stream.next();
        totals.tokens += update.n_tokens;
        ++totals.updates;
        last = update.last();
    }
    if (--totals.running == 0) client.reset();
}

asio::awaitable<void> measure(std::string command, int n_streams) {
    ipc::EngineOptions options;
    options.executable = SUTAZAI_FAKE_ENGINE;
    options.model_name = "fake";
    options.path = "/models/fake.gguf";
    auto started = co_await ipc::EngineClient::start(options, nullptr);
    if (!started) std::abort();
    auto client = std::make_shared<ipc::OwnedEngine>(std::move(*started));
    auto totals = std::make_shared<Totals>();
    totals->running = n_streams;
    const double cpu = thread_cpu_s();
    const auto begin = std::chrono::steady_clock::now();
    const auto done = [=, command = command](const std::exception_ptr&) {
        if (totals->running > 0) return;
        const double used = thread_cpu_s() - cpu;
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        fmt::print("{:>12}: {} deltas in {:.2f} s ({:.0f}/s), {} updates, {:.0f} ns a delta, {:.1f} % of a core\n",
                   command, totals->tokens, took.count(), static_cast<double>(totals->tokens) / took.count(),
                   totals->updates, used / static_cast<double>(totals->tokens) * 1e9, used / took.count() * 100);
        (void)client;
    };
    for (int i = 0; i < n_streams; ++i) {
        GenerationRequest request;
        request.prompt = command;
        asio::co_spawn(co_await asio::this_coro::executor, read((*client)->submit(request), *totals, *client), done);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int n_streams = argc > 1 ? std::atoi(argv[1]) : 100;
    const std::string n_tokens = argc > 2 ? argv[2] : "3000";
    for (const char* kind : {"pace ", "count "}) {
        asio::io_context io(1);
        asio::co_spawn(io, measure(kind + n_tokens, n_streams), asio::detached);
        io.run();
    }
}
