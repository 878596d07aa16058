#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

/// A blocking HTTP client that sends exactly the bytes it is given; for tests only.
namespace sutazai::http {

struct Response {
    int status = 0;                              ///< 0: the connection ended instead
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;                            ///< without the chunks' framing
    bool whole = false;                          ///< did it end as its framing says
};

class TestClient {
  public:
    explicit TestClient(std::uint16_t port, int receive_buffer_bytes = 0);
    ~TestClient();
    TestClient(const TestClient&) = delete;
    TestClient& operator=(const TestClient&) = delete;

    bool send(std::string_view bytes);       ///< false once the server has closed
    Response receive(bool to_head = false);  ///< interim answers (1xx) too
    std::string receive_some();              ///< what comes next; empty at the end, or when nothing comes for 5 s
    bool ends_within(std::chrono::milliseconds time);  ///< does the server close, having sent nothing more
    void half_close();                                 ///< sends no more, and goes on reading
    void close();

  private:
    bool fill();

    int fd_;
    std::string unread_;
};

/// The bytes as one gzip member.
std::string gzip_text(std::string_view text);

/// A request with Host and, if there is a body, Content-Type and Content-Length.
std::string request_text(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view extra_headers = {});

}  // namespace sutazai::http
