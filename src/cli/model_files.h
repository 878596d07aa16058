#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "catalog/catalog.h"
#include "config/settings.h"

/// Which models there are, from settings and from what lies beside the binary.
namespace sutazai::cli {

inline constexpr const char* kDemoModel = "sutazai-demo";
inline constexpr const char* kToyModel = "sutazai-toy";

/// This process's binary.
[[nodiscard]] std::filesystem::path executable_path();

/// The models that come with the product: the demo model beside `executable` (in models/, or ../share/sutazai/models/),
/// else the toy model under SUTAZAI_HOME if it was made before; else none.
[[nodiscard]] std::map<std::string, std::string> bundled_models(const config::Settings& settings,
                                                                const std::filesystem::path& executable);

/// Those, the named ones, those of SUTAZAI_HOME/models.toml, the folder's and the stores'. kInvalidArgument for a
/// --model name that no client could ask for, and for a models.toml that is wrong.
[[nodiscard]] Result<catalog::Catalog> open_catalog(const config::Settings& settings,
                                                    const std::filesystem::path& executable,
                                                    catalog::Scanner::Extent extent = catalog::Scanner::Extent::kAll);

/// What is wrong with the folder that MODELS_DIR names, as a sentence; empty when all is well, or when nobody named
/// one.
[[nodiscard]] std::string models_dir_problem(const config::Loaded& loaded);

/// Makes the toy model of random weights (always the same ones) under SUTAZAI_HOME, if it is not there. About 1 MB.
[[nodiscard]] Result<void> make_toy_model(const config::Settings& settings);

/// Asks the servers of UPSTREAMS for their models, which the catalogue has then, too; blocks.
void add_remote_models(catalog::Catalog& catalog, const config::Settings& settings);

}  // namespace sutazai::cli
