#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/go_value.h"

/// Go templates cut into words.
namespace sutazai::text::go {

struct Token {
    enum class Kind {
        kText,      ///< outside of actions
        kOpen,      ///< {{
        kClose,     ///< }}
        kSpace,     ///< which says whether a field belongs to what is before it
        kField,     ///< .Name
        kDot,       ///< .
        kVariable,  ///< $name, without the sign
        kWord,      ///< a function, keyword, true, false, nil
        kLiteral,
        kPipe,
        kLeft,
        kRight,
        kDeclare,  ///< :=
        kAssign,   ///< =
        kComma,
        kEnd
    };
    Kind kind = Kind::kEnd;
    std::size_t line = 1;
    std::string text = {};
    GoValue literal = {};
};

/// Trimmed as {{- and -}} say, without comments; ends with kEnd. kInvalidArgument with the line.
[[nodiscard]] Result<std::vector<Token>> lex(std::string_view source);

[[nodiscard]] std::unexpected<Error> wrong_at(std::size_t line, std::string_view what);

}  // namespace sutazai::text::go
