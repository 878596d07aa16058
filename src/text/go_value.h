#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"

namespace sutazai::text {

/// What a Go template works with. Texts remember whose they are.
struct GoValue {
    using List = std::vector<GoValue>;
    struct Map {
        std::map<std::string, GoValue> entries;
        bool is_struct = false;  ///< a field that it has not is an error, and it is never empty
    };
    static constexpr int kOfTemplate = 0;
    using Kinds = std::variant<std::monostate, bool, std::int64_t, double, std::string, std::shared_ptr<const List>,
                               std::shared_ptr<const Map>>;

    Kinds value = {};
    int origin = kOfTemplate;  ///< of a text; what is made of several has that of the last part that is no template's

    GoValue() = default;
    template <typename T>
    requires(std::is_constructible_v<Kinds, T>) explicit GoValue(T its, int from = kOfTemplate)
        : value(std::move(its)), origin(from) {}
    static GoValue list(List items) { return GoValue(std::make_shared<const List>(std::move(items))); }
    static GoValue map(Map its) { return GoValue(std::make_shared<const Map>(std::move(its))); }

    [[nodiscard]] bool is_nil() const { return std::holds_alternative<std::monostate>(value); }
    /// As `if` sees it.
    [[nodiscard]] bool is_true() const;
    /// As fmt.Print writes it; at the top a nil is "<no value>".
    [[nodiscard]] std::string shown() const;
    /// As json.Marshal writes it.
    [[nodiscard]] std::string json() const;
    [[nodiscard]] const char* kind() const;  ///< for messages
};

/// One of the functions that templates have: and, or and not aside, which decide what is evaluated. kInvalidArgument
/// with a message as Go's for arguments that it does not take.
using GoFunction = Result<GoValue> (*)(const std::vector<GoValue>& arguments);
/// Null when there is none of that name.
[[nodiscard]] GoFunction find_go_function(const std::string& name);

}  // namespace sutazai::text
