#include "response.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace sutazai::loadgen {
namespace {

const Clock::time_point kNow{};

/// The answer to `wire`, fed `step` bytes at a time.
Answer read(std::string_view wire, std::size_t step, ResponseReader& reader) {
    AnswerScanner scanner;
    for (std::size_t at = 0; at < wire.size(); at += step) reader.feed(wire.substr(at, step), scanner, kNow);
    return scanner.finish(kNow);
}

TEST(Response, ChunkedStreamCutAnywhere) {
    const std::string events =
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"a \\\"content\\\" b\"}}],\"usage\":null}\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\": \"b\"}}]}\n\n"
        "data: {\"choices\":[],\"usage\":{\"completion_tokens\":7,\"prompt_tokens\":31,"
        "\"prompt_tokens_details\":{\"cached_tokens\":16}}}\n\ndata: [DONE]\n\n";
    std::string wire = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < events.size(); at += 0x60) {
        const std::string piece = events.substr(at, 0x60);
        char size[16];
        std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
        wire += size + piece + "\r\n";
    }
    wire += "0\r\n\r\n";
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, wire.size()}) {
        ResponseReader reader;
        const Answer answer = read(wire, step, reader);
        EXPECT_TRUE(reader.complete() && reader.keep_alive());
        EXPECT_EQ(reader.status(), 200);
        EXPECT_EQ(answer.text_at.size(), 2U);
        EXPECT_EQ(answer.completion_tokens, 7);
        EXPECT_EQ(answer.prompt_tokens, 31);
        EXPECT_EQ(answer.cached_tokens, 16);
        EXPECT_EQ(answer.error, "");
    }
}

TEST(Response, PlainBodyAndErrors) {
    ResponseReader reader;
    const Answer plain = read(
        "HTTP/1.1 200 OK\r\ncontent-length: 81\r\nConnection: close\r\n\r\n"
        R"({"choices":[{"message":{"content":"x"}}],"usage":{"completion_tokens":3,"n":1}}  )",
        5, reader);
    EXPECT_TRUE(reader.complete());
    EXPECT_FALSE(reader.keep_alive());
    EXPECT_EQ(plain.text_at.size(), 1U);
    EXPECT_EQ(plain.completion_tokens, 3);
    EXPECT_EQ(plain.cached_tokens, -1);

    ResponseReader refused;
    const Answer error =
        read("HTTP/1.1 429 Too Many\r\nContent-Length: 24\r\n\r\n{\"error\":{\"code\":\"full\"}}", 3, refused);
    EXPECT_EQ(refused.status(), 429);
    EXPECT_NE(error.error.find("full"), std::string::npos);
}

TEST(Response, BrokenFramingThrows) {
    ResponseReader chunked;
    EXPECT_THROW(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 64, chunked), std::runtime_error);
    ResponseReader other;
    EXPECT_THROW(read("SSH-2.0-hello\r\n", 64, other), std::runtime_error);
}

}  // namespace
}  // namespace sutazai::loadgen
