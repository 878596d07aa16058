#pragma once

#include <string>

#include "catalog/catalog.h"

/// `sutazai list`.
namespace sutazai::cli {

/// One line a model: name ("*" behind the default one), size, what it is or why it cannot be used; in columns. Reads
/// the head of each file.
[[nodiscard]] std::string model_table(const catalog::Catalog& catalog);

/// 494032768 is "494M".
[[nodiscard]] std::string human_count(std::uint64_t count);

}  // namespace sutazai::cli
