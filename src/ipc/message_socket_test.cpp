#include "ipc/message_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sutazai::ipc {
namespace {

using namespace std::chrono_literals;

class MessageSocketTest : public testing::Test {
  protected:
    MessageSocketTest() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        engine_ = ends[1];
        socket_ = std::make_shared<MessageSocket>(io_.get_executor(), ends[0]);
        socket_->start({.take =
                            [this](wire::FromEngine& message) {
                                steps_.push_back(message.step().stats().steps());
                                if (closes_) socket_->close();
                                return message.has_step();
                            },
                        .nonsense = [this](const std::string& what) { nonsense_.push_back(what); },
                        .end = [this] { ++ends_; }});
    }
    ~MessageSocketTest() override {
        socket_->close();
        if (engine_ >= 0) ::close(engine_);
    }

    void engine_says(std::uint64_t steps) {
        wire::FromEngine message;
        message.mutable_step()->mutable_stats()->set_steps(steps);
        std::string bytes;
        ASSERT_TRUE(append_frame(bytes, message));
        ASSERT_TRUE(write_all(engine_, bytes));
    }

    boost::asio::io_context io_;
    int engine_ = -1;
    std::shared_ptr<MessageSocket> socket_;
    bool closes_ = false;
    std::vector<std::uint64_t> steps_;
    std::vector<std::string> nonsense_;
    int ends_ = 0;
};

TEST_F(MessageSocketTest, HandsMessagesOnBothWays) {
    wire::ToEngine order;
    order.mutable_cancel()->set_request_id(7);
    ASSERT_TRUE(socket_->send(order));
    ASSERT_TRUE(socket_->send(order));
    engine_says(1);
    engine_says(2);
    io_.run_for(50ms);
    EXPECT_EQ(steps_, (std::vector<std::uint64_t>{1, 2}));
    FrameReader reader(engine_);
    for (int i = 0; i < 2; ++i) {
        const auto payload = reader.read();
        wire::ToEngine got;
        ASSERT_TRUE(payload && *payload && got.ParseFromString(std::string(**payload)));
        EXPECT_EQ(got.cancel().request_id(), 7U);
    }
}

TEST_F(MessageSocketTest, NothingIsReadBehindNonsense) {
    ASSERT_TRUE(write_all(engine_, std::string(100, '\xff')));
    io_.run_for(50ms);
    engine_says(1);
    io_.run_for(50ms);
    socket_->read_rest();
    EXPECT_EQ(nonsense_, std::vector<std::string>{"sent what is no valid message and was ended"});
    EXPECT_TRUE(steps_.empty());
}

TEST_F(MessageSocketTest, TheLastWordsCanBeReadAfterTheEnd) {
    engine_says(1);
    ::close(std::exchange(engine_, -1));
    socket_->read_rest();
    EXPECT_EQ(steps_, std::vector<std::uint64_t>{1});
    EXPECT_EQ(ends_, 1);
}

TEST_F(MessageSocketTest, NobodyIsCalledOnceItIsClosed) {
    closes_ = true;
    engine_says(1);
    engine_says(2);
    io_.run();  // ends, because nothing is waited for any more
    EXPECT_EQ(steps_, std::vector<std::uint64_t>{1});
    EXPECT_TRUE(nonsense_.empty());
    EXPECT_EQ(ends_, 0);
    wire::ToEngine order;
    order.mutable_ping();
    EXPECT_TRUE(socket_->send(order)) << "what is sent afterwards is dropped";
}

TEST_F(MessageSocketTest, AMessageThatFitsNoFrameIsRefused) {
    wire::ToEngine order;
    order.mutable_submit()->set_text(std::string(kMaxFrameBytes + 1, 'x'));
    EXPECT_EQ(socket_->send(order).error().code, ErrorCode::kPayloadTooLarge);
}

}  // namespace
}  // namespace sutazai::ipc
