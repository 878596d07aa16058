#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "store/recipe.h"

/// Ollama's Modelfile: one instruction a line, its value bare, in "quotes", or in """three quotes""" over several
/// lines. Instructions have no case; lines that begin with # are comments. Pure.
namespace sutazai::store {

/// `from` of the result is as FROM has it: a model's name, or the path of a file. kInvalidArgument with the number of
/// the line for what is wrong; DRAFT, RENDERER and PARSER, which would change answers, are refused as what is
/// not built yet.
[[nodiscard]] Result<ModelRecipe> parse_modelfile(std::string_view text);

/// Is this value of FROM the path of a file rather than a name?
[[nodiscard]] bool is_file_path(std::string_view from);

}  // namespace sutazai::store
