#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "catalog/catalog.h"

namespace sutazai::cli {

/// The model that somebody named at a terminal. The error is one sentence that also says what there is instead: names
/// that are near, else all of them, else the folder that was looked in.
[[nodiscard]] Result<catalog::ModelFile> find_model(const catalog::Catalog& catalog, const std::string& name);

/// Those of `names` that `wanted` may have been meant for, nearest first, three at most: a few letters are other ones,
/// or one begins with the other. Pure.
[[nodiscard]] std::vector<std::string> near_names(std::string_view wanted, const std::vector<std::string>& names);

}  // namespace sutazai::cli
