#include "http/router.h"

#include <optional>

namespace sutazai::http {

namespace {

/// The parameter when `pattern` leads to `path`, empty for one without; nothing when it does not.
std::optional<std::string_view> match_path(std::string_view pattern, std::string_view path) {
    if (pattern.ends_with("/*")) {
        pattern.remove_suffix(1);
        if (path.size() > pattern.size() && path.starts_with(pattern)) return path.substr(pattern.size());
        return std::nullopt;
    }
    return pattern == path ? std::optional<std::string_view>("") : std::nullopt;
}

void add_method(std::string& list, std::string_view name) {
    if (!list.empty()) list += ", ";
    list += name;
}

}  // namespace

Match Router::match(Method method, std::string_view path) const {
    Match match;
    match.family = family_of_path(path);
    for (const Route& route : routes_) {
        const auto parameter = match_path(route.path, path);
        if (!parameter) continue;
        match.family = route.family;
        add_method(match.allowed, to_string(route.method));
        if (route.method == Method::kGet) add_method(match.allowed, to_string(Method::kHead));
        const bool head = method == Method::kHead && route.method == Method::kGet;
        if ((route.method == method || head) && match.route == nullptr) {
            match.route = &route;
            match.parameter = percent_decoded(*parameter);
        }
    }
    if (!match.allowed.empty()) add_method(match.allowed, to_string(Method::kOptions));
    return match;
}

}  // namespace sutazai::http
