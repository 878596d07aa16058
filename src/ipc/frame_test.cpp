#include "ipc/frame.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <random>
#include <thread>
#include <vector>

#include "proto/engine.pb.h"

namespace sutazai::ipc {
namespace {

wire::ToEngine cancel(std::uint64_t id) {
    wire::ToEngine message;
    message.mutable_cancel()->set_request_id(id);
    return message;
}

std::string frames(const std::vector<std::string>& texts) {
    std::string out;
    for (const std::string& text : texts) {
        wire::ToEngine message;
        message.mutable_submit()->set_text(text);
        EXPECT_TRUE(append_frame(out, message));
    }
    return out;
}

/// Feeds `bytes` in pieces of at most `piece`; returns the texts, or what came until the error.
std::vector<std::string> decode(std::string_view bytes, std::size_t piece) {
    FrameDecoder decoder;
    std::vector<std::string> texts;
    while (!bytes.empty()) {
        const std::size_t n = std::min(piece, bytes.size());
        decoder.feed({bytes.data(), n});
        bytes.remove_prefix(n);
        for (;;) {
            const auto payload = decoder.next();
            if (!payload) return texts;
            if (!*payload) break;
            wire::ToEngine message;
            EXPECT_TRUE(message.ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size())));
            texts.push_back(message.submit().text());
        }
    }
    return texts;
}

TEST(Frame, HeaderIsLittleEndianLength) {
    std::string out = "x";
    ASSERT_TRUE(append_frame(out, cancel(1)));
    EXPECT_EQ(out, std::string("x\x04\0\0\0\x1a\x02\x08\x01", 9));
}

TEST(Frame, EveryCutOfTheStreamGivesTheSameMessages) {
    const std::vector<std::string> texts{"", "one", std::string(300, 'b'), "", std::string(70000, 'c'), "end"};
    const std::string bytes = frames(texts);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{5}, std::size_t{4096},
                                    std::size_t{65536}, bytes.size()}) {
        EXPECT_EQ(decode(bytes, piece), texts) << "pieces of " << piece;
    }
}

TEST(Frame, EveryTruncationKeepsTheWholeMessagesBeforeIt) {
    const std::vector<std::string> texts{"first", "second", "third"};
    const std::string bytes = frames(texts);
    const std::size_t one = frames({"first"}).size();
    const std::size_t two = frames({"first", "second"}).size();
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        const std::size_t whole = length >= two ? 2 : length >= one ? 1 : 0;
        EXPECT_EQ(decode(std::string_view(bytes).substr(0, length), 7),
                  std::vector<std::string>(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(whole)));
    }
}

TEST(Frame, RefusesALengthOverTheLimitAndStaysRefusing) {
    FrameDecoder decoder;
    const std::uint32_t size = kMaxFrameBytes + 1;
    std::array<char, 4> header{};
    std::memcpy(header.data(), &size, 4);
    decoder.feed(header);
    for (int i = 0; i < 2; ++i) {
        const auto payload = decoder.next();
        ASSERT_FALSE(payload);
        EXPECT_EQ(payload.error().code, ErrorCode::kPayloadTooLarge);
        decoder.feed(header);
    }
}

TEST(Frame, AnAnnouncedLengthAllocatesNothing) {
    FrameDecoder decoder;
    const std::uint32_t size = kMaxFrameBytes;
    std::array<char, 4> header{};
    std::memcpy(header.data(), &size, 4);
    decoder.feed(header);
    decoder.feed(std::string(100, 'x'));
    const auto payload = decoder.next();
    ASSERT_TRUE(payload);
    EXPECT_FALSE(*payload);
    EXPECT_LE(decoder.capacity_bytes(), 256U);
}

TEST(Frame, ALargeBufferIsGivenBack) {
    FrameDecoder decoder;
    decoder.feed(frames({std::string(4 << 20, 'x')}));
    ASSERT_TRUE(decoder.next().value());
    decoder.feed(frames({"y"}));
    EXPECT_LT(decoder.capacity_bytes(), std::size_t{1} << 20);
    EXPECT_TRUE(decoder.next().value());
}

TEST(Frame, RandomBytesNeverCrashNorGrowPastWhatWasFed) {
    for (unsigned seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        FrameDecoder decoder;
        std::size_t fed = 0;
        bool lost = false;
        for (int i = 0; i < 200 && !lost; ++i) {
            std::string bytes(random() % 300, '\0');
            for (char& c : bytes) c = static_cast<char>(random());
            // Small lengths in most headers, or nearly every stream would end at its first.
            if (bytes.size() >= 4 && random() % 8 != 0) bytes[1] = bytes[2] = bytes[3] = '\0';
            decoder.feed(bytes);
            fed += bytes.size();
            for (;;) {
                const auto payload = decoder.next();
                lost = !payload;
                if (lost || !*payload) break;
                wire::FromEngine message;
                (void)message.ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size()));
            }
            ASSERT_LE(decoder.buffered_bytes(), fed);
            ASSERT_LE(decoder.capacity_bytes(), 2 * fed + 1);
        }
    }
}

class FrameSocket : public testing::Test {
  protected:
    void SetUp() override { ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_.data()), 0); }
    void TearDown() override {
        for (const int fd : fds_) ::close(fd);
    }
    std::array<int, 2> fds_{};
};

TEST_F(FrameSocket, BlockingWriteAndReadOfManyFrames) {
    std::vector<std::string> texts;
    for (int i = 0; i < 2000; ++i) texts.emplace_back(static_cast<std::size_t>(i * 7 % 3000), 'a');
    std::jthread writer([&] { EXPECT_TRUE(write_all(fds_[0], frames(texts))); });
    FrameReader reader(fds_[1]);
    for (const std::string& text : texts) {
        const auto payload = reader.read();
        ASSERT_TRUE(payload && *payload);
        wire::ToEngine message;
        ASSERT_TRUE(message.ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size())));
        EXPECT_EQ(message.submit().text(), text);
    }
}

TEST_F(FrameSocket, CloseBetweenFramesIsTheEndAndWithinOneIsAnError) {
    const std::string bytes = frames({"whole", "cut"});
    ASSERT_TRUE(write_all(fds_[0], std::span(bytes).first(frames({"whole"}).size())));
    ::shutdown(fds_[0], SHUT_WR);
    FrameReader reader(fds_[1]);
    ASSERT_TRUE(reader.read().value());
    EXPECT_FALSE(reader.read().value());

    ASSERT_TRUE(write_all(fds_[1], std::span(bytes).first(bytes.size() - 1)));
    ::shutdown(fds_[1], SHUT_WR);
    FrameReader cut(fds_[0]);
    ASSERT_TRUE(cut.read().value());
    EXPECT_FALSE(cut.read());
}

TEST_F(FrameSocket, WritingToAClosedPeerIsAnErrorNotASignal) {
    ::shutdown(fds_[1], SHUT_RD);
    EXPECT_FALSE(write_all(fds_[0], std::string(10, 'x')));
}

}  // namespace
}  // namespace sutazai::ipc
