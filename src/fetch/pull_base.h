#pragma once

#include <stop_token>
#include <string>

#include "base/error.h"
#include "base/work_progress.h"
#include "config/settings.h"
#include "fetch/pull.h"
#include "store/base_model.h"

/// The model that another one is to be made of, when it is not here: it is pulled first, as Ollama does.
namespace sutazai::fetch {

struct MissingBase {
    Options options;
    Request request;
    catalog::OllamaName name;  ///< that it gets in the store
    Error not_found;           ///< what to say when it cannot be had
};

/// `not_found`, with the reason, when it may not be pulled: hosts are those of PULL_HOSTS, whoever asks. A name without
/// one is the registry's. Pure.
[[nodiscard]] Result<MissingBase> missing_base(const config::Settings& settings, const std::string& from,
                                               Error not_found);

/// Pulls it. Errors are those of pull(); what is not there either is kNotFound and says both. Blocks; any thread.
[[nodiscard]] Result<store::BaseModel> pull_base(const MissingBase& base, const std::stop_token& stop,
                                                 const ProgressSink& tell);

}  // namespace sutazai::fetch
