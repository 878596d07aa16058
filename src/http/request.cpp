#include "http/request.h"

#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
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
    if (target == "*") {
        out.path = target;
        out.query.clear();
        return true;
    }
    namespace urls = boost::urls;
    const auto url = target.starts_with('/') ? urls::parse_origin_form(target) : urls::parse_absolute_uri(target);
    if (!url) return false;
    if (url->has_scheme()) {
        if (url->scheme_id() != urls::scheme::http || !url->has_authority()) return false;
        out.host = std::string_view(url->encoded_authority());
    }
    out.path = std::string_view(url->encoded_path());
    if (out.path.empty()) out.path = "/";
    if (!out.path.starts_with('/')) return false;
    out.query = std::string_view(url->encoded_query());
    return true;
}

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned char byte = 0;
        const char* digits = text.data() + i + 1;
        if (text[i] == '%' && i + 2 < text.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
            out += static_cast<char>(byte);
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

bool is_json_type(std::string_view content_type) {
    std::string_view type = content_type.substr(0, content_type.find(';'));
    while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
    return boost::beast::iequals(type, "application/json");
}

}  // namespace sutazai::http
