#include "cli/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <vector>

namespace sutazai::cli {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

class Pipe {
  public:
    Pipe() { EXPECT_EQ(pipe(ends_.data()), 0); }
    ~Pipe() {
        close(ends_[0]);
        finish();
    }
    [[nodiscard]] int reader() const { return ends_[0]; }
    void write(std::string_view text) {
        EXPECT_EQ(::write(ends_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    void finish() {
        if (ends_[1] >= 0) close(ends_[1]);
        ends_[1] = -1;
    }

  private:
    std::array<int, 2> ends_{-1, -1};
};

using Lines = std::vector<std::string>;

asio::awaitable<void> read_all(LineReader& reader, Lines& lines) {
    while (auto line = co_await reader.next()) lines.push_back(*line);
}

TEST(LineReader, GivesLinesAsTheyComeAndTheUnfinishedLast) {
    asio::io_context io;
    Pipe pipe;
    LineReader reader(io.get_executor(), pipe.reader());
    Lines lines;
    asio::co_spawn(io, read_all(reader, lines), asio::detached);
    pipe.write("one\ntw");
    io.run_for(std::chrono::milliseconds(20));
    EXPECT_EQ(lines, (Lines{"one"}));
    pipe.write("o\n\nlast");
    io.run_for(std::chrono::milliseconds(20));
    EXPECT_EQ(lines, (Lines{"one", "two", ""}));
    pipe.finish();
    io.run_for(std::chrono::seconds(5));
    EXPECT_EQ(lines, (Lines{"one", "two", "", "last"}));
}

TEST(LineReader, LeavesTheDescriptorBlocking) {
    asio::io_context io;
    Pipe pipe;
    LineReader reader(io.get_executor(), pipe.reader());
    Lines lines;
    asio::co_spawn(io, read_all(reader, lines), asio::detached);
    io.poll();
    EXPECT_EQ(fcntl(pipe.reader(), F_GETFL) & O_NONBLOCK, 0);
    pipe.finish();
    io.run_for(std::chrono::seconds(5));
}

TEST(LineReader, ACancelledWaitLosesNothing) {
    asio::io_context io;
    Pipe pipe;
    LineReader reader(io.get_executor(), pipe.reader());
    Lines lines;
    bool timed_out = false;
    const auto race = [](asio::io_context& io, LineReader& reader, Lines& lines,
                         bool& timed_out) -> asio::awaitable<void> {
        asio::steady_timer timer(io, std::chrono::milliseconds(5));
        const auto first = co_await (reader.next() || timer.async_wait(asio::use_awaitable));
        timed_out = first.index() == 1;
        co_await read_all(reader, lines);
    };
    asio::co_spawn(io, race(io, reader, lines, timed_out), asio::detached);
    pipe.write("ha");
    io.run_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(timed_out);
    pipe.write("lf\n");
    pipe.finish();
    io.run_for(std::chrono::seconds(5));
    EXPECT_EQ(lines, (Lines{"half"}));
}

TEST(ProgressText, GrowsWithTheShare) {
    EXPECT_EQ(progress_text("loading x", 0), "loading x  [                              ]   0%");
    EXPECT_EQ(progress_text("loading x", 0.5), "loading x  [###############               ]  50%");
    EXPECT_EQ(progress_text("loading x", 1), "loading x  [##############################] 100%");
    EXPECT_EQ(progress_text("loading x", 7), progress_text("loading x", 1));
    EXPECT_EQ(progress_text("loading x", -1), progress_text("loading x", 0));
}

}  // namespace
}  // namespace sutazai::cli
