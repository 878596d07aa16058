#include "http/accept_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <new>
#include <optional>
#include <stdexcept>
#include <vector>

namespace sutazai::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

struct AcceptLoop : testing::Test {
    asio::io_context io{1};
    tcp::acceptor acceptor{io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
    std::function<void(tcp::socket)> start;
    bool ended = false;
    std::exception_ptr thrown;

    void spawn() {
        asio::co_spawn(io, accept_until_closed(acceptor, [this](tcp::socket socket) { start(std::move(socket)); }),
                       [this](const std::exception_ptr& error) {
                           ended = true;
                           thrown = error;
                       });
    }
    template <typename Condition>
    bool run_until(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (!condition() && std::chrono::steady_clock::now() < deadline) io.run_for(5ms);
        return condition();
    }
};

TEST_F(AcceptLoop, GoesOnAfterAnExceptionAndEndsWithTheAcceptor) {
    int n = 0;
    start = [&](tcp::socket) {
        ++n;
        if (n == 1) throw std::runtime_error("on purpose");
        if (n == 2) throw std::bad_alloc();
    };
    spawn();
    std::vector<tcp::socket> clients;
    for (int i = 0; i < 3; ++i) clients.emplace_back(io).connect(acceptor.local_endpoint());
    EXPECT_TRUE(run_until([&] { return n == 3; })) << n;
    EXPECT_FALSE(ended);
    acceptor.close();
    EXPECT_TRUE(run_until([&] { return ended; }));
    EXPECT_FALSE(thrown);
}

TEST_F(AcceptLoop, WaitsForFileDescriptorsWithoutSpinning) {
    int n = 0;
    start = [&](tcp::socket) { ++n; };
    spawn();
    io.poll();
    tcp::socket client(io);
    client.connect(acceptor.local_endpoint());

    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const int next = ::open("/dev/null", O_RDONLY);
    ::close(next);
    rlimit none = limit;
    none.rlim_cur = static_cast<rlim_t>(next);  // a number that is in use is allowed to go on; no new one is given
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const std::size_t turns = io.run_for(300ms);
    setrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(n, 0);
    EXPECT_LT(turns, 50U) << "it tries again and again without a pause";
    EXPECT_TRUE(run_until([&] { return n == 1; })) << "the one that waited is not accepted";
    acceptor.close();
    EXPECT_TRUE(run_until([&] { return ended; }));
}

}  // namespace
}  // namespace sutazai::http
