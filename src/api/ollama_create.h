#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "store/recipe.h"

/// Ollama's API: POST /api/create. Pure.
namespace sutazai::api::ollama {

struct CreateBody {
    std::string model;
    store::ModelRecipe recipe;
    bool stream = true;
};

/// kInvalidArgument, naming the field, for what is wrong, for parameters that are not known, and for what is not built
/// yet (drafts, renderers and parsers other than the base's).
[[nodiscard]] Result<CreateBody> parse_create(std::string_view body);

}  // namespace sutazai::api::ollama
