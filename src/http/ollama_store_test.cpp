#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <thread>

#include "base/digest.h"
#include "catalog/testing/small_gguf.h"
#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string digest_of(std::string_view content) {
    return "sha256:" + to_hex(Bytes(sha256(std::as_bytes(std::span(content)))));
}

constexpr std::string_view kBytes = "Content-Type: application/octet-stream\r\n";

/// Models that are made and removed through Ollama's routes.
class OllamaStoreTest : public ServedTest {
  protected:
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m"});
        settings_.max_body_bytes = 64 << 10;
        settings_.pull_hosts.clear();
    }
    static std::string blob_request(std::string_view content, std::string_view digest, std::string_view more = {}) {
        return fmt::format("POST /api/blobs/{} HTTP/1.1\r\nHost: localhost\r\n{}{}Content-Length: {}\r\n\r\n{}", digest,
                           kBytes, more, content.size(), content);
    }
    Response send_blob(std::string_view content, std::string_view digest) {
        TestClient client(port_);
        client.send(blob_request(content, digest));
        return client.receive();
    }
    bool has_blob(std::string_view content) {
        return fs::exists(folder_ / "store/blobs" / ("sha256-" + digest_of(content).substr(7)));
    }
    std::size_t files_in_blobs() {
        std::error_code error;
        std::size_t n = 0;
        for (fs::directory_iterator at(folder_ / "store/blobs", error), end; !error && at != end; ++at) ++n;
        return n;
    }
    void create_small(std::string_view name) {
        const std::string gguf = catalog::small_gguf();
        send_blob(gguf, digest_of(gguf));
        const auto made = ask("POST", "/api/create",
                              fmt::format(R"({{"model":"{}","files":{{"m.gguf":"{}"}}}})", name, digest_of(gguf)));
        ASSERT_EQ(made.status, 200) << made.body;
        ASSERT_NE(made.body.find(R"({"status":"success"})"), std::string::npos) << made.body;
    }
};

TEST_F(OllamaStoreTest, BlobsGoToTheDiskHoweverLong) {
    start();
    const std::string content(5'000'000, 'b');
    const std::string digest = digest_of(content);
    EXPECT_EQ(ask("HEAD", "/api/blobs/" + digest).status, 404);
    TestClient client(port_);
    ASSERT_TRUE(client.send(blob_request(content, digest)));
    EXPECT_EQ(client.receive().status, 201);
    EXPECT_TRUE(has_blob(content));
    // The connection goes on, and what is there already is read and thrown away.
    ASSERT_TRUE(client.send(blob_request(content, digest)));
    EXPECT_EQ(client.receive().status, 200);
    ASSERT_TRUE(client.send(request_text("HEAD", "/api/blobs/" + digest)));
    EXPECT_EQ(client.receive(true).status, 200);
    EXPECT_EQ(files_in_blobs(), 1U);
}

TEST_F(OllamaStoreTest, BlobsComeInChunksToo) {
    start();
    const std::string content(300'000, 'c');
    TestClient client(port_);
    client.send(
        fmt::format("POST /api/blobs/{} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
                    "Expect: 100-continue\r\n\r\n",
                    digest_of(content)));
    EXPECT_EQ(client.receive().status, 100);
    for (std::size_t at = 0; at < content.size(); at += 100'000) {
        client.send(fmt::format("{:x}\r\n{}\r\n", 100'000, content.substr(at, 100'000)));
        std::this_thread::sleep_for(10ms);
    }
    client.send("0\r\n\r\n");
    EXPECT_EQ(client.receive().status, 201);
    EXPECT_TRUE(has_blob(content));
    EXPECT_EQ(send_blob("", digest_of("")).status, 201) << "an empty one";
}

TEST_F(OllamaStoreTest, WrongBlobsLeaveNothing) {
    start();
    const Response wrong = send_blob("content", digest_of("other"));
    EXPECT_EQ(wrong.status, 400);
    EXPECT_NE(wrong.body.find("digest mismatch"), std::string::npos) << wrong.body;
    EXPECT_EQ(send_blob("content", "sha256:..%2f..%2fetc%2fpasswd").status, 400);
    EXPECT_EQ(ask("HEAD", "/api/blobs/nonsense").status, 400);
    TestClient zipped(port_);
    zipped.send(blob_request("x", digest_of("x"), "Content-Encoding: gzip\r\n"));
    EXPECT_EQ(zipped.receive().status, 415);
    {
        TestClient gone(port_);
        gone.send(fmt::format("POST /api/blobs/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n{}",
                              digest_of("gone"), std::string(2'000'000, 'g')));
        std::this_thread::sleep_for(50ms);
    }
    EXPECT_TRUE(becomes_true([this] { return files_in_blobs() == 0; })) << "who goes away leaves nothing";
}

TEST_F(OllamaStoreTest, ASlowSenderIsNotWaitedForForEver) {
    settings_.read_timeout_s = 1;
    start();
    TestClient slow(port_);
    slow.send(fmt::format("POST /api/blobs/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
                          digest_of("slow")));
    EXPECT_TRUE(slow.ends_within(5s));
    EXPECT_TRUE(becomes_true([this] { return files_in_blobs() == 0; }));
}

TEST_F(OllamaStoreTest, ModelsAreMadeCopiedAndRemoved) {
    start();
    create_small("a/one:x");
    EXPECT_NE(ask("GET", "/api/tags").body.find("a/one:x"), std::string::npos);
    EXPECT_EQ(ask("POST", "/api/copy", R"({"source":"a/one:x","destination":"two"})").status, 200);
    EXPECT_EQ(ask("POST", "/api/show", R"({"model":"two"})").status, 200);
    const Response made = ask("POST", "/api/create", R"({"model":"three","from":"two","system":"S.","stream":false})");
    EXPECT_EQ(made.status, 200);
    EXPECT_EQ(made.body, R"({"status":"success"})");
    EXPECT_NE(ask("POST", "/api/show", R"({"model":"three"})").body.find("S."), std::string::npos);
    for (const char* name : {"a/one:x", "two", "three"}) {
        EXPECT_EQ(ask("DELETE", "/api/delete", fmt::format(R"({{"model":"{}"}})", name)).status, 200) << name;
        EXPECT_EQ(ask("POST", "/api/show", fmt::format(R"({{"model":"{}"}})", name)).status, 404) << name;
    }
    EXPECT_EQ(files_in_blobs(), 0U);
    // Models of a folder can be copied and built on, but not removed.
    EXPECT_EQ(ask("POST", "/api/copy", R"({"source":"m","destination":"of-m"})").status, 200);
    EXPECT_EQ(ask("POST", "/api/show", R"({"model":"of-m"})").status, 200);
    const Response refused = ask("DELETE", "/api/delete", R"({"model":"m"})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_NE(refused.body.find("m.gguf"), std::string::npos) << refused.body;
    EXPECT_TRUE(fs::exists(folder_ / "m.gguf"));
}

TEST_F(OllamaStoreTest, ErrorsAreOllamas) {
    start();
    const auto status_of = [&](std::string_view method, std::string_view path, std::string_view body) {
        const Response response = ask(method, path, body);
        EXPECT_TRUE(response.body.starts_with(R"({"error":")")) << response.body;
        return response.status;
    };
    EXPECT_EQ(status_of("POST", "/api/create", R"({"model":"x","from":"nobody"})"), 404);
    EXPECT_EQ(status_of("POST", "/api/create", R"({"model":"../x","from":"m"})"), 400);
    EXPECT_EQ(status_of("POST", "/api/create", R"({"model":"x"})"), 400);
    EXPECT_EQ(status_of("POST", "/api/create", R"({"model":"x","from":"m","quantize":"Q4_K_M"})"), 400)
        << "what fails before the first line has a status";
    EXPECT_EQ(status_of("POST", "/api/copy", R"({"source":"nobody","destination":"x"})"), 404);
    EXPECT_EQ(status_of("POST", "/api/copy", R"({"source":"m","destination":"a b"})"), 400);
    EXPECT_EQ(status_of("DELETE", "/api/delete", R"({"model":"nobody"})"), 404);
    EXPECT_EQ(status_of("DELETE", "/api/delete", "{}"), 400);
    EXPECT_EQ(status_of("PUT", "/api/blobs/x", "{}"), 405);
}

TEST_F(OllamaStoreTest, ChangesAreForAdministrators) {
    settings_.api_keys = {"plain"};
    settings_.admin_api_keys = {"admin"};
    start();
    constexpr std::string_view kPlain = "Authorization: Bearer plain\r\n";
    EXPECT_EQ(ask("POST", "/api/create", R"({"model":"x","from":"m"})", kPlain).status, 403);
    EXPECT_EQ(ask("POST", "/api/copy", R"({"source":"m","destination":"x"})", kPlain).status, 403);
    EXPECT_EQ(ask("DELETE", "/api/delete", R"({"model":"m"})", kPlain).status, 403);
    TestClient client(port_);
    client.send(blob_request(std::string(1'000'000, 'x'), digest_of("x"), kPlain));
    EXPECT_EQ(client.receive().status, 403);
    EXPECT_EQ(files_in_blobs(), 0U);
    EXPECT_EQ(ask("POST", "/api/copy", R"({"source":"m","destination":"x"})", "Authorization: Bearer admin\r\n").status,
              200);
}

}  // namespace
}  // namespace sutazai::http
