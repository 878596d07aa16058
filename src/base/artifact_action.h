#pragma once

#include <cstdint>
#include <string>

namespace sutazai {

/// What may be ordered of a model's cache artifacts (docs/artifacts.md). The same on its whole way from the server to
/// the engine; only the public API calls kRestore "load", and what was restored "loaded" (its route cache/manage).
enum class ArtifactAction : std::uint8_t {
    kSave,     ///< write the prefixes that are kept now
    kRestore,  ///< read artifacts into kept prefixes
    kPrune,    ///< remove what is too old or too much
};

/// What such an order did.
struct ArtifactReport {
    std::uint64_t saved = 0, restored = 0, removed = 0;  ///< artifacts
    std::uint64_t bytes = 0;                             ///< written, read or removed
    std::uint64_t failed = 0;                            ///< artifacts with which that did not work out
    std::string problem = {};                            ///< what was left undone, and why; empty when all was done

    bool operator==(const ArtifactReport&) const = default;
};

}  // namespace sutazai
