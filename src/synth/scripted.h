#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

/// Models that say what they are told to, token by token, for exact tests of tool calls and reasoning.
namespace sutazai::synth {

struct ScriptedOptions {
    std::string dialect = "chatml";  ///< one of scripted_dialects(): how its chat template writes tools and thoughts
    /// JSON: {"key": ["piece", ...]}. A last message that ends in "#key" is answered by these pieces, a token each, and
    /// then the answer ends; {"back": n} in place of a last piece repeats the last n of them without end instead.
    std::string scripts;
    std::filesystem::path output;  ///< replaced when complete
};

[[nodiscard]] const std::vector<std::string_view>& scripted_dialects();

/// The chat template of a dialect; empty when there is none of that name.
[[nodiscard]] std::string scripted_template(std::string_view dialect);

/// Writes a model of one layer that looks at the last token alone, and whose successor is fixed. A token is in one
/// script once: a piece that comes again is cut into two new ones. Names of the dialect's control tokens are such
/// tokens where they come first. Errors name the option at fault.
[[nodiscard]] Result<void> write_scripted(const ScriptedOptions& options);

}  // namespace sutazai::synth
