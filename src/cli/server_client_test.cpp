#include "cli/server_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

namespace sutazai::cli {
namespace {

/// Takes one connection, keeps what it is sent, answers with fixed bytes.
class OneAnswer {
  public:
    explicit OneAnswer(std::string answer) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        (void)::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size);
        (void)::listen(fd_, 1);
        (void)::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        port = ntohs(address.sin_port);
        thread_ = std::thread([this, answer = std::move(answer)] {
            const int connection = ::accept(fd_, nullptr, nullptr);
            std::array<char, 4096> bytes{};
            while (received.find("}") == std::string::npos) {
                const ssize_t n = ::recv(connection, bytes.data(), bytes.size(), 0);
                if (n <= 0) break;
                received.append(bytes.data(), static_cast<std::size_t>(n));
            }
            (void)::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
            ::close(connection);
        });
    }
    ~OneAnswer() {
        wait();
        ::close(fd_);
    }
    OneAnswer(const OneAnswer&) = delete;
    OneAnswer& operator=(const OneAnswer&) = delete;
    void wait() {
        if (thread_.joinable()) thread_.join();
    }
    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port); }

    int port = 0;
    std::string received;

  private:
    int fd_;
    std::thread thread_;
};

TEST(ServerUrl, IsWhereThisMachineReachesTheServer) {
    config::Settings settings;
    EXPECT_EQ(server_url(settings), "http://127.0.0.1:8080");
    settings.host = "0.0.0.0";
    settings.port = 99;
    EXPECT_EQ(server_url(settings), "http://127.0.0.1:99");
    settings.host = "::1";
    EXPECT_EQ(server_url(settings), "http://[::1]:99");
    settings.port = 0;
    EXPECT_EQ(server_url(settings).error().field, "PORT");
}

TEST(ServerClient, PostsWithTheKey) {
    OneAnswer server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    EXPECT_EQ(ServerClient(server.url() + "/", "secret").post("/path", R"({"a": 1})"), "{}");
    server.wait();
    EXPECT_TRUE(server.received.starts_with("POST /path HTTP/1.1\r\n")) << server.received;
    EXPECT_NE(server.received.find("Authorization: Bearer secret\r\n"), std::string::npos);
    EXPECT_NE(server.received.find("Content-Type: application/json\r\n"), std::string::npos);
    EXPECT_TRUE(server.received.ends_with(R"({"a": 1})"));
}

TEST(ServerClient, HandsOnTheServersMessage) {
    OneAnswer server(
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 37\r\n\r\n{\"error\": {\"message\": \"show a key\"}}  ");
    EXPECT_EQ(ServerClient(server.url(), "").post("/", "{}").error().message, "show a key");
    OneAnswer other("HTTP/1.1 418 Teapot\r\nContent-Length: 4\r\n\r\nnope");
    EXPECT_EQ(ServerClient(other.url(), "").post("/", "{}").error().message, "the server answered with status 418");
}

TEST(ServerClient, SaysWhatToDoWhenNobodyAnswers) {
    std::string url;
    {
        OneAnswer gone("");
        url = gone.url();
        EXPECT_EQ(ServerClient(url, "").post("/", "{}").error().code, ErrorCode::kUnavailable) << "it hangs up";
    }
    EXPECT_EQ(
        ServerClient(url, "").post("/", "{}").error().message,
        "no server answers at " + url + " (Connection refused); start one with `sutazai serve`, or name it with --url");
    for (const char* wrong : {"localhost:80", "https://localhost", "http://", "http://a:b", "http://a/b"}) {
        EXPECT_EQ(ServerClient(wrong, "").post("/", "{}").error().code, ErrorCode::kInvalidArgument) << wrong;
    }
}

}  // namespace
}  // namespace sutazai::cli
