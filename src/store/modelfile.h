#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "store/recipe.h"

/// Ollama's Modelfile: one instruction a line, its value bare, in "quotes", or in """three quotes""" over several
/// lines. Instructions have no case; lines that begin with # are comments. Beyond Ollama's, a text may stand between
/// two lines that end in, and are, the same four or more quotes: so it may hold lines that end in three. Pure.
namespace sutazai::store {

/// `from` of the result is as FROM has it: a model's name, or the path of a file. kInvalidArgument with the number of
/// the line for what is wrong; DRAFT, RENDERER and PARSER, which would change answers, are refused as what is
/// not built yet.
[[nodiscard]] Result<ModelRecipe> parse_modelfile(std::string_view text);

/// What parse_modelfile() reads as this recipe: its `from`, template, system message, parameters, licences, messages
/// and the paths of adapters.
[[nodiscard]] std::string to_modelfile(const ModelRecipe& recipe);

/// Is this value of FROM the path of a file rather than a name?
[[nodiscard]] bool is_file_path(std::string_view from);

}  // namespace sutazai::store
