#include "workload.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <fstream>
#include <stdexcept>

namespace sutazai::loadgen {
namespace {

Request parse_line(const std::string& line, const std::string& default_path, std::uint16_t port) {
    const boost::json::object object = boost::json::parse(line).as_object();
    Request request;
    if (const auto* label = object.if_contains("label")) request.label = label->as_string();
    if (const auto* at = object.if_contains("at_ms"); at != nullptr && !at->is_null()) {
        request.at = std::chrono::milliseconds(at->to_number<std::int64_t>());
    }
    const auto* path = object.if_contains("path");
    const std::string body = boost::json::serialize(object.at("body"));
    request.wire = fmt::format(
        "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        path != nullptr ? std::string(path->as_string()) : default_path, port, body.size(), body);
    return request;
}

}  // namespace

std::vector<Request> read_workload(const std::string& file, const std::string& default_path, std::uint16_t port) {
    std::ifstream input(file);
    if (!input) throw std::runtime_error(fmt::format("{} could not be opened", file));
    std::vector<Request> requests;
    std::string line;
    for (int number = 1; std::getline(input, line); ++number) {
        if (line.empty()) continue;
        try {
            requests.push_back(parse_line(line, default_path, port));
        } catch (const std::exception& error) {
            throw std::runtime_error(fmt::format("{}:{}: {}", file, number, error.what()));
        }
    }
    return requests;
}

}  // namespace sutazai::loadgen
