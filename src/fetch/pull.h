#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/work_progress.h"
#include "fetch/access.h"
#include "fetch/client.h"
#include "store/model_store.h"

/// Models from registries, from Hugging Face and from URLs into the store, and from the store to registries.
namespace sutazai::fetch {

/// Made of the settings, once.
struct Options {
    Access access;
    Patience patience;
    unsigned connections = 4;
    std::filesystem::path store;                      ///< that is written to
    std::vector<std::filesystem::path> other_stores;  ///< that are looked into first
};

struct Request {
    std::string model;      ///< as parse_source() reads it
    std::string as = {};    ///< the name that a file from a URL gets
    bool insecure = false;  ///< plain http with the registry
    bool typed = false;     ///< by who runs this process: the host that he names is allowed
};

/// The model is in the store afterwards; at once when all of it is there. Tells the statuses of Ollama: "pulling
/// manifest", "pulling <12 digits>" with the bytes, "verifying sha256 digest", "writing manifest". The last one,
/// "success", is the caller's. Blocks; no thread or connection outlives the call, and a stop ends it within a second.
///
/// kInvalidArgument for a name that is none and for models that this server cannot use, kForbidden for hosts that are
/// not allowed, kNotFound, kUnavailable for networks, registries and disks, kCancelled.
[[nodiscard]] Result<void> pull(const Options& options, const Request& request, const std::stop_token& stop,
                                const ProgressSink& tell);

/// Sends a model to the registry that its name begins with. "retrieving manifest", "pushing <12 digits>" with the
/// bytes, "pushing manifest". Errors as above.
[[nodiscard]] Result<void> push(const Options& options, const Request& request, const std::stop_token& stop,
                                const ProgressSink& tell);

}  // namespace sutazai::fetch
