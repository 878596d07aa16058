#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "text/go_template.h"

/// What a Go template is made of. For its parser and its interpreter.
namespace sutazai::text::go {

struct Pipeline;

/// An argument: a thing, and fields of it.
struct Term {
    enum class Kind { kDot, kVariable, kLiteral, kNil, kFunction, kPipeline };
    Kind kind = Kind::kDot;
    std::string name = {};  ///< of a variable ("" is "$") or a function
    GoValue literal = {};
    std::shared_ptr<const Pipeline> pipeline = {};
    std::vector<std::string> fields = {};
};

using Command = std::vector<Term>;

struct Pipeline {
    std::vector<std::string> variables = {};  ///< that get the value: one, or two of a range
    bool assigns = false;                     ///< to variables that are there
    std::vector<Command> commands = {};       ///< each gets the value of the one before it as its last argument
};

struct Node {
    enum class Kind { kText, kAction, kIf, kWith, kRange, kBreak, kContinue, kTemplate };
    Kind kind = Kind::kText;
    std::size_t line = 1;
    std::string text = {};   ///< of kTemplate: its name
    Pipeline pipeline = {};  ///< of kTemplate: without commands, its dot is nil
    std::vector<Node> body = {};
    std::vector<Node> other = {};  ///< behind else
};

inline constexpr std::size_t kDeepest = 100;

}  // namespace sutazai::text::go

namespace sutazai::text {

struct GoTemplate::Tree {
    std::vector<go::Node> root;
    std::map<std::string, std::vector<go::Node>> defined;
};

}  // namespace sutazai::text
