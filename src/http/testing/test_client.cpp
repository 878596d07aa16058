#include "http/testing/test_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>
#include <utility>

namespace sutazai::http {

namespace {
constexpr int kPatienceMs = 5000;
}

TestClient::TestClient(std::uint16_t port, int receive_buffer_bytes) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer_bytes > 0) {
        setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        close();
        throw std::runtime_error("no connection");
    }
}

TestClient::~TestClient() {
    close();
}

void TestClient::close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

void TestClient::half_close() {
    shutdown(fd_, SHUT_WR);
}

bool TestClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

bool TestClient::fill() {
    pollfd readable{fd_, POLLIN, 0};
    if (poll(&readable, 1, kPatienceMs) <= 0) return false;
    std::array<char, 65536> bytes{};
    const ssize_t n = recv(fd_, bytes.data(), bytes.size(), 0);
    if (n <= 0) return false;
    unread_.append(bytes.data(), static_cast<std::size_t>(n));
    return true;
}

std::string TestClient::receive_some() {
    if (unread_.empty()) fill();
    return std::exchange(unread_, {});
}

bool TestClient::ends_within(std::chrono::milliseconds time) {
    pollfd readable{fd_, POLLIN, 0};
    if (!unread_.empty() || poll(&readable, 1, static_cast<int>(time.count())) <= 0) return false;
    char byte = 0;
    return recv(fd_, &byte, 1, 0) <= 0;
}

Response TestClient::receive(bool to_head) {
    Response response;
    std::size_t end = 0;
    while ((end = unread_.find("\r\n\r\n")) == std::string::npos) {
        if (!fill()) return response;
    }
    const std::string head = unread_.substr(0, end + 2);
    unread_.erase(0, end + 4);
    response.status = std::stoi(head.substr(9, 3));
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
        const std::size_t line_end = head.find("\r\n", at);
        const std::size_t colon = head.find(": ", at);
        std::string name = head.substr(at, colon - at);
        for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        response.headers[name] = head.substr(colon + 2, line_end - colon - 2);
        at = line_end + 2;
    }
    const auto need = [&](std::size_t size) {
        while (unread_.size() < size) {
            if (!fill()) return false;
        }
        return true;
    };
    if (response.headers.contains("transfer-encoding")) {
        for (;;) {
            while ((end = unread_.find("\r\n")) == std::string::npos) {
                if (!fill()) return response;
            }
            const std::size_t size = std::stoul(unread_.substr(0, end), nullptr, 16);
            if (!need(end + 2 + size + 2)) {
                response.body += unread_.substr(std::min(end + 2, unread_.size()));
                return response;
            }
            response.body += unread_.substr(end + 2, size);
            unread_.erase(0, end + 2 + size + 2);
            if (size == 0) break;
        }
    } else if (response.headers.contains("content-length")) {
        const std::size_t size = to_head ? 0 : std::stoul(response.headers["content-length"]);
        if (!need(size)) return response;
        response.body = unread_.substr(0, size);
        unread_.erase(0, size);
    } else if (response.status != 204 && response.status != 304 && response.status != 100) {
        while (fill()) {
        }
        response.body = std::exchange(unread_, {});
    }
    response.whole = true;
    return response;
}

std::string gzip_text(std::string_view text) {
    z_stream stream{};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::bad_alloc();
    std::string out(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

std::string request_text(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view extra_headers) {
    std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}", method, path, extra_headers);
    if (!body.empty()) {
        text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    }
    return text + "\r\n" + std::string(body);
}

}  // namespace sutazai::http
