#include "http/request.h"

#include <strings.h>

#include <array>
#include <utility>

namespace sutazai::http {

namespace {

constexpr std::array<std::pair<std::string_view, Method>, 7> kMethods{{{"GET", Method::kGet},
                                                                       {"HEAD", Method::kHead},
                                                                       {"POST", Method::kPost},
                                                                       {"PUT", Method::kPut},
                                                                       {"PATCH", Method::kPatch},
                                                                       {"DELETE", Method::kDelete},
                                                                       {"OPTIONS", Method::kOptions}}};

bool same_ignoring_case(std::string_view a, std::string_view b) {
    return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

Method method_from(std::string_view name) {
    for (const auto& [known, method] : kMethods) {
        if (known == name) return method;
    }
    return Method::kOther;
}

std::string_view to_string(Method method) {
    for (const auto& [name, known] : kMethods) {
        if (known == method) return name;
    }
    return "another method";
}

bool split_target(std::string_view target, Request& out) {
    constexpr std::string_view kScheme = "http://";
    if (target.size() > kScheme.size() && same_ignoring_case(target.substr(0, kScheme.size()), kScheme)) {
        target.remove_prefix(kScheme.size());
        const std::size_t slash = target.find('/');
        out.host = target.substr(0, slash);
        target = slash == std::string_view::npos ? "/" : target.substr(slash);
    }
    if (!target.starts_with('/') && target != "*") return false;
    const std::size_t question = target.find('?');
    out.path = target.substr(0, question);
    out.query = question == std::string_view::npos ? "" : target.substr(question + 1);
    return true;
}

bool is_json_type(std::string_view content_type) {
    std::string_view type = content_type.substr(0, content_type.find(';'));
    while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
    return same_ignoring_case(type, "application/json");
}

}  // namespace sutazai::http
