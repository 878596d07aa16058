#include "fetch/download.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "fetch/testing/fault_server.h"

namespace sutazai::fetch {
namespace {

using namespace std::chrono_literals;
using testing::FaultServer;
using testing::range_of;
using testing::Reply;
using testing::Request;
namespace fs = std::filesystem;

constexpr std::uint64_t kPart = 64 << 10;

std::string random_text(std::size_t size, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random());
    return out;
}

class DownloadTest : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/sutazai-download-XXXXXX";
        folder = ::mkdtemp(name);
    }
    void TearDown() override { fs::remove_all(folder); }

    Wanted wanted(const FaultServer& server, const std::string& of) const {
        return {.url = server.url("/blob"),
                .size = of.size(),
                .digest = sha256(std::as_bytes(std::span(of))),
                .partial = folder / "sha256-x-partial",
                .part_bytes = kPart};
    }
    Result<std::optional<Downloaded>> fetch(
        const FaultServer& server, const Wanted& what, const OnBytes& on_bytes = [](auto, auto) {}) {
        access.private_hosts.push_back(server.host());
        Client client(access, patience, stop.get_token());
        return download(
            client, what, [this] { return fs::exists(folder / "done"); }, on_bytes);
    }
    std::string content() const {
        std::ifstream in(folder / "sha256-x-partial", std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(in), {});
    }
    std::size_t files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
    }

    fs::path folder;
    Access access;
    Patience patience{.stall = 300ms, .tries = 3, .first_pause = 5ms};
    std::stop_source stop;
    const std::string blob = random_text(10 * kPart + 777);
};

TEST_F(DownloadTest, ComesInParts) {
    const FaultServer server([&](const Request& request) { return range_of(blob, request); });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_TRUE(got) << got.error().message;
    ASSERT_TRUE(*got);
    EXPECT_EQ((*got)->path, folder / "sha256-x-partial");
    EXPECT_EQ(content(), blob);
    EXPECT_EQ(server.requests().size(), 11U);
    EXPECT_EQ(server.body_bytes(), blob.size());
    EXPECT_EQ(files(), 1U) << "no state is left";
}

TEST_F(DownloadTest, PartsMayBeAskedForTogether) {
    patience.stall = 1min;  // of a server under a sanitizer
    const std::string large = random_text(12 << 20);
    const FaultServer server([&](const Request& request) { return range_of(large, request); });
    Wanted what = wanted(server, large);
    what.part_bytes = 1 << 20;
    const auto got = fetch(server, what);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), large);
    EXPECT_LE(server.requests().size(), 12U) << "9 where one connection is quick";
    EXPECT_EQ(server.body_bytes(), large.size());
}

TEST_F(DownloadTest, WithoutRangesInOneStream) {
    int cuts = 1;
    const FaultServer server(
        [&](const Request&) { return Reply{.body = blob, .cut = cuts-- > 0 ? 100'000 : Reply::kAll}; });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
}

TEST_F(DownloadTest, GoesOnWhereItWasCut) {
    int n = 0;
    const FaultServer server([&](const Request& request) {
        Reply reply = range_of(blob, request);
        if (++n % 2 == 1) reply.cut = kPart / 2;
        return reply;
    });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
    EXPECT_EQ(server.body_bytes(), blob.size()) << "no byte came twice";
}

TEST_F(DownloadTest, AStallStartsThePartAgain) {
    int n = 0;
    const FaultServer server([&](const Request& request) {
        Reply reply = range_of(blob, request);
        if (++n == 3) reply = {reply.status, reply.headers, reply.body, 10'000, true};
        return reply;
    });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
}

TEST_F(DownloadTest, OtherBytesAreNotKept) {
    const FaultServer server([&](const Request& request) {
        Reply reply = range_of(blob, request);
        reply.body[5] ^= 1;
        return reply;
    });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_FALSE(got);
    EXPECT_NE(got.error().message.find("has another digest"), std::string::npos) << got.error().message;
    EXPECT_EQ(files(), 0U);
}

TEST_F(DownloadTest, ACancelledOneIsResumed) {
    const FaultServer server([&](const Request& request) { return range_of(blob, request); });
    Wanted what = wanted(server, blob);
    what.connections = 1;
    const auto cancelled = fetch(server, what, [&](std::uint64_t completed, auto) {
        if (completed > blob.size() / 2) stop.request_stop();
    });
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
    EXPECT_EQ(files(), 2U) << "the part and its state";
    stop = std::stop_source();
    std::uint64_t first = 0;
    const auto got = fetch(server, what, [&](std::uint64_t completed, auto) {
        if (first == 0) first = completed;
    });
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
    EXPECT_GT(first, blob.size() / 2);
    EXPECT_LE(server.body_bytes(), blob.size() + kPart);
}

TEST_F(DownloadTest, WhatAnEarlierOneLeftMayBeWrong) {
    const FaultServer server([&](const Request& request) { return range_of(blob, request); });
    const Wanted what = wanted(server, blob);
    std::ofstream(what.partial) << random_text(3 * kPart, 9);
    PartialState state{blob.size(), "", {}};
    state.synced.add({0, 3 * kPart});
    std::ofstream(what.partial.string() + "-state") << encode_state(state);
    const auto got = fetch(server, what);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
    EXPECT_EQ(server.body_bytes(), 2 * blob.size() - 3 * kPart) << "first what was missing, then all";
}

TEST_F(DownloadTest, WhatWasWrittenCountsForAsLongAsTheMachineRuns) {
    std::string boot;
    std::ifstream in("/proc/sys/kernel/random/boot_id");
    std::getline(in, boot);
    for (const bool same_run : {true, false}) {
        const FaultServer server([&](const Request& request) { return range_of(blob, request); });
        const Wanted what = wanted(server, blob);
        std::ofstream(what.partial) << blob.substr(0, 3 * kPart);
        PartialState state{blob.size(), "", {}, same_run ? boot : "another"};
        state.done.add({0, 3 * kPart});
        state.synced.add({0, kPart});
        std::ofstream(what.partial.string() + "-state") << encode_state(state);
        ASSERT_TRUE(fetch(server, what));
        EXPECT_EQ(content(), blob);
        EXPECT_EQ(server.body_bytes(), blob.size() - (same_run ? 3 : 1) * kPart);
        std::filesystem::remove(what.partial);
    }
}

TEST_F(DownloadTest, AStateThatSaysTooMuchIsNotBelieved) {
    const FaultServer server([&](const Request& request) { return range_of(blob, request); });
    const Wanted what = wanted(server, blob);
    std::ofstream(what.partial) << "short";
    PartialState state{blob.size(), "", {}};
    state.synced.add({0, 3 * kPart});
    std::ofstream(what.partial.string() + "-state") << encode_state(state);
    ASSERT_TRUE(fetch(server, what));
    EXPECT_EQ(content(), blob);
    EXPECT_EQ(server.body_bytes(), blob.size());
}

TEST_F(DownloadTest, NothingBehindTheEndStays) {
    const FaultServer server([&](const Request& request) { return range_of(blob, request); });
    const Wanted what = wanted(server, blob);
    for (const bool has_state : {false, true}) {
        std::ofstream(what.partial) << blob.substr(0, kPart) << std::string(blob.size(), 'x');
        PartialState state{blob.size(), "", {}};
        state.synced.add({0, kPart});
        if (has_state) std::ofstream(what.partial.string() + "-state") << encode_state(state);
        ASSERT_TRUE(fetch(server, what));
        EXPECT_EQ(content(), blob);
    }
}

TEST_F(DownloadTest, WithoutRangesNothingIsResumed) {
    // Of no known digest, so that nothing but care keeps the parts apart.
    const FaultServer server([&](const Request&) { return Reply{.body = blob}; });
    Wanted what = wanted(server, blob);
    what.size = 0;
    what.digest.reset();
    std::ofstream(what.partial) << std::string(kPart, 'x');
    PartialState state{blob.size(), "", {}};
    state.synced.add({0, kPart});
    std::ofstream(what.partial.string() + "-state") << encode_state(state);
    const auto got = fetch(server, what);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
    EXPECT_EQ((*got)->digest, sha256(std::as_bytes(std::span(blob))));
}

TEST_F(DownloadTest, AnotherRangeThanAskedForCountsAsNone) {
    const FaultServer server([&](const Request& request) {
        Request other = request;
        if (request.headers.contains("range")) other.headers["range"] = "bytes=1-100";
        return range_of(blob, other);
    });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
    EXPECT_EQ(server.requests().size(), 2U) << "the second one asked for all";
}

TEST_F(DownloadTest, ABlobOfAnotherSizeIsRefused) {
    const FaultServer server([&](const Request& request) { return range_of(blob + "x", request); });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_FALSE(got);
    EXPECT_NE(got.error().message.find("bytes of what should be"), std::string::npos) << got.error().message;
    EXPECT_EQ(files(), 0U);
    const FaultServer whole([&](const Request&) { return Reply{.body = blob + "x"}; });
    const auto more = fetch(whole, wanted(whole, blob));
    ASSERT_FALSE(more);
    EXPECT_NE(more.error().message.find("sends more than"), std::string::npos) << more.error().message;
}

TEST_F(DownloadTest, TriesAgainWhatMayPass) {
    // One connection, so that none gets more than two refusals in a row.
    int n = 0;
    const FaultServer server([&](const Request& request) {
        return ++n % 3 != 0 ? Reply{.status = n % 3 == 1 ? 503 : 429} : range_of(blob, request);
    });
    Wanted what = wanted(server, blob);
    what.connections = 1;
    const auto got = fetch(server, what);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
}

TEST_F(DownloadTest, GivesUpInTheEnd) {
    const FaultServer server([&](const Request&) { return Reply{.status = 500}; });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_FALSE(got);
    EXPECT_EQ(server.requests().size(), 3U);
    EXPECT_NE(got.error().message.find("(3 tries)"), std::string::npos) << got.error().message;
}

TEST_F(DownloadTest, WhatIsNotThereIsSaidAtOnce) {
    const FaultServer server([&](const Request&) {
        return Reply{.status = 404, .body = R"({"errors":[{"code":"BLOB_UNKNOWN","message":"no such blob"}]})"};
    });
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::kNotFound);
    EXPECT_NE(got.error().message.find("status 404 (BLOB_UNKNOWN: no such blob)"), std::string::npos);
    EXPECT_EQ(server.requests().size(), 1U);
    EXPECT_EQ(files(), 0U);
}

TEST_F(DownloadTest, AFileOfUnknownSizeIsAskedFor) {
    const FaultServer server([&](const Request& request) { return range_of(blob, request, "\"one\""); });
    Wanted what = wanted(server, blob);
    what.size = 0;
    what.digest.reset();
    const auto got = fetch(server, what);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ((*got)->size, blob.size());
    EXPECT_EQ((*got)->digest, sha256(std::as_bytes(std::span(blob))));
    EXPECT_EQ(server.requests().size(), 12U);
}

TEST_F(DownloadTest, AFileThatChangesIsBegunAgain) {
    const std::string other = random_text(blob.size(), 2);
    int n = 0;
    const FaultServer server([&](const Request& request) {
        return ++n <= 4 ? range_of(blob, request, "\"one\"") : range_of(other, request, "\"two\"");
    });
    Wanted what = wanted(server, blob);
    what.size = 0;
    what.digest.reset();
    const auto got = fetch(server, what);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), other) << "nothing of the first one";
}

TEST_F(DownloadTest, FollowsRedirectsWithoutCredentials) {
    const FaultServer cdn([&](const Request& request) { return range_of(blob, request); });
    access.private_hosts = {cdn.host()};
    const FaultServer server([&](const Request& request) {
        if (!request.headers.contains("authorization")) {
            return Reply{.status = 401, .headers = {"WWW-Authenticate: Basic realm=\"x\""}};
        }
        return Reply{.status = 307, .headers = {"Location: " + cdn.url("/real?sig=1").text()}};
    });
    access.basic[server.host()] = "me:word";
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
    EXPECT_EQ(server.requests().size(), 2U) << "afterwards the blob's own address is known";
    EXPECT_EQ(server.requests().back().headers.at("authorization"), "Basic bWU6d29yZA==");
    for (const Request& request : cdn.requests()) EXPECT_FALSE(request.headers.contains("authorization"));
}

TEST_F(DownloadTest, ARedirectToAPrivateAddressIsRefused) {
    const FaultServer inner([&](const Request& request) { return range_of(blob, request); });
    for (const std::string& target : {inner.url("/x").text(), "https" + inner.url("/x").text().substr(4),
                                      std::string("https://localhost:1/x"), std::string("https://169.254.169.254/")}) {
        const FaultServer server(
            [&](const Request&) { return Reply{.status = 302, .headers = {"Location: " + target}}; });
        const auto got = fetch(server, wanted(server, blob));
        ASSERT_FALSE(got) << target;
        EXPECT_EQ(got.error().code, ErrorCode::kForbidden) << got.error().message;
    }
    EXPECT_TRUE(inner.requests().empty());
}

TEST_F(DownloadTest, AnAddressIsLookedAtWhenItIsConnectedTo) {
    // The name is as good as any; what it stands for is not.
    const FaultServer server([&](const Request& request) { return range_of(blob, request); });
    Wanted what = wanted(server, blob);
    what.url.host = "localhost";
    const auto got = fetch(server, what);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::kForbidden);
    EXPECT_NE(got.error().message.find("stands for a private address"), std::string::npos) << got.error().message;
    EXPECT_TRUE(server.requests().empty());
}

TEST_F(DownloadTest, CancelsWithinASecond) {
    const FaultServer server([&](const Request& request) {
        Reply reply = range_of(blob, request);
        return Reply{reply.status, reply.headers, reply.body, 100, true};
    });
    patience.stall = 1h;
    std::jthread canceller([&] {
        std::this_thread::sleep_for(100ms);
        stop.request_stop();
    });
    const auto begin = std::chrono::steady_clock::now();
    const auto got = fetch(server, wanted(server, blob));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::kCancelled);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
}

TEST_F(DownloadTest, TwoOfOneAreOne) {
    std::atomic<bool> go = false;
    const FaultServer server([&](const Request& request) { return range_of(blob, request); });
    const Wanted what = wanted(server, blob);
    std::jthread first([&] {
        const auto got = fetch(server, what, [&](auto, auto) {
            while (!go) std::this_thread::sleep_for(1ms);
        });
        ASSERT_TRUE(got);
        ASSERT_TRUE(*got);
        std::ofstream(folder / "done") << "";  // before its lock is gone, as the store does it
    });
    std::this_thread::sleep_for(50ms);
    std::jthread second([&] {
        Access other;
        other.private_hosts = {server.host()};
        Client client(other, patience, {});
        const auto got = download(
            client, what, [this] { return fs::exists(folder / "done"); }, [](auto, auto) {});
        ASSERT_TRUE(got);
        EXPECT_FALSE(*got) << "the first one has it";
    });
    std::this_thread::sleep_for(50ms);
    go = true;
    first.join();
    second.join();
    EXPECT_EQ(server.body_bytes(), blob.size());
}

TEST_F(DownloadTest, TheSecondGoesOnWhenTheFirstGivesUp) {
    const FaultServer server([&](const Request& request) { return range_of(blob, request); });
    Wanted what = wanted(server, blob);
    what.connections = 1;
    std::stop_source stop_first;
    std::atomic<bool> held = false;
    std::jthread first([&] {
        Access own;
        own.private_hosts = {server.host()};
        Client client(own, patience, stop_first.get_token());
        const auto got = download(
            client, what, [] { return false; },
            [&](std::uint64_t completed, auto) {
                if (completed < blob.size() / 2) return;
                held = true;
                while (!stop_first.stop_requested()) std::this_thread::sleep_for(1ms);
            });
        EXPECT_FALSE(got);
    });
    while (!held) std::this_thread::sleep_for(1ms);
    std::jthread ending([&] {
        std::this_thread::sleep_for(200ms);
        stop_first.request_stop();
    });
    const auto got = fetch(server, what);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(content(), blob);
    EXPECT_LE(server.body_bytes(), blob.size() + kPart);
}

}  // namespace
}  // namespace sutazai::fetch
