#pragma once

#include <expected>
#include <string>
#include <utility>

namespace sutazai::grammar {

/// What is the matter with a schema. `what` are words that the name of the schema goes before and the place in it
/// follows: "uses contains", "has enum that is no array".
struct Fault {
    std::string what;
    bool is_error = false;    ///< no schema says that; else it may well, and is not supported
    std::string detail = {};  ///< what is said behind the place; may be empty
};

template <typename T>
using Checked = std::expected<T, Fault>;

[[nodiscard]] inline std::unexpected<Fault> unsupported(std::string what) {
    return std::unexpected(Fault{std::move(what)});
}
[[nodiscard]] inline std::unexpected<Fault> wrong(std::string what, std::string detail = {}) {
    return std::unexpected(Fault{std::move(what), true, std::move(detail)});
}

}  // namespace sutazai::grammar
