#include "fetch/testing/fault_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <stdexcept>

#include "catalog/ollama_name.h"

namespace sutazai::fetch::testing {
namespace {

bool send_all(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

}  // namespace

Reply range_of(const std::string& content, const Request& request, const std::string& etag) {
    Reply reply{.body = content};
    if (!etag.empty()) reply.headers.push_back("ETag: " + etag);
    const auto range = request.headers.find("range");
    const auto condition = request.headers.find("if-range");
    if (range == request.headers.end() || (condition != request.headers.end() && condition->second != etag))
        return reply;
    std::size_t first = 0;
    std::size_t last = 0;
    const char* const end = range->second.data() + range->second.size();
    const auto read = std::from_chars(range->second.data() + std::string_view("bytes=").size(), end, first);
    std::from_chars(read.ptr + 1, end, last);
    reply.status = 206;
    reply.headers.push_back(fmt::format("Content-Range: bytes {}-{}/{}", first, last, content.size()));
    reply.body = content.substr(first, last - first + 1);
    return reply;
}

FaultServer::FaultServer(std::function<Reply(const Request&)> handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 64) != 0 || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        throw std::runtime_error("no loopback port");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::jthread([this] { accept_all(); });
}

FaultServer::~FaultServer() {
    ending_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
        const std::lock_guard lock(mutex_);
        for (const int connection : open_) ::shutdown(connection, SHUT_RDWR);
    }
    threads_.clear();
    ::close(listener_);
}

std::string FaultServer::host() const {
    return fmt::format("127.0.0.1:{}", port_);
}

Url FaultServer::url(const std::string& path) const {
    return parse_url("http://" + host() + path).value();
}

std::vector<Request> FaultServer::requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
}

void FaultServer::accept_all() {
    for (;;) {
        const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (connection < 0) return;
        const std::lock_guard lock(mutex_);
        open_.push_back(connection);
        threads_.emplace_back([this, connection] { serve(connection); });
    }
}

void FaultServer::serve(int connection) {
    std::string head;
    char byte = 0;
    while (!head.ends_with("\r\n\r\n") && ::recv(connection, &byte, 1, 0) == 1) head += byte;
    Request request;
    request.method = head.substr(0, head.find(' '));
    const auto target = request.method.size() + 1;
    if (head.size() > target) request.target = head.substr(target, head.find(' ', target) - target);
    for (auto at = head.find("\r\n"); at != std::string::npos && at + 2 < head.size(); at = head.find("\r\n", at + 2)) {
        const std::string line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
        const auto colon = line.find(": ");
        if (colon == std::string::npos) continue;
        request.headers[catalog::in_small_letters(line.substr(0, colon))] = line.substr(colon + 2);
    }
    std::size_t length = 0;
    const std::string& text = request.headers["content-length"];
    std::from_chars(text.data(), text.data() + text.size(), length);
    while (request.body.size() < length && ::recv(connection, &byte, 1, 0) == 1) request.body += byte;
    Reply reply;
    {
        const std::lock_guard lock(mutex_);
        if (!request.method.empty()) {
            requests_.push_back(request);
            reply = handler_(request);
        }
    }
    std::string out = fmt::format("HTTP/1.1 {} Status\r\nConnection: close\r\nContent-Length: {}\r\n", reply.status,
                                  reply.body.size());
    for (const std::string& header : reply.headers) out += header + "\r\n";
    const std::string_view body = std::string_view(reply.body).substr(0, reply.cut);
    send_all(connection, out + "\r\n");
    constexpr std::size_t kPiece = 4096;
    for (std::size_t at = 0; request.method != "HEAD" && at < body.size(); at += kPiece) {
        const auto piece = body.substr(at, kPiece);
        if (!send_all(connection, piece)) break;
        body_bytes_ += piece.size();
    }
    while (reply.stall && !ending_) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ::shutdown(connection, SHUT_RDWR);
    const std::lock_guard lock(mutex_);
    std::erase(open_, connection);
    ::close(connection);
}

}  // namespace sutazai::fetch::testing
