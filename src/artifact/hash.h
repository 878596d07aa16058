#pragma once

#include <array>
#include <cstddef>

#include "base/digest.h"

/// The two hash functions of cache artifacts. Pure; any thread.
///
/// SHA-256 (base/digest.h) wherever somebody could gain from a collision: names of chains (who writes prompts chooses
/// what is hashed), fingerprints, weights, and the whole of an exported file. XXH3 (128 bit), ten times as quick, where
/// only chance is the enemy: against flipped bits in payloads. Who can write into the artifact folder could recompute
/// any unkeyed hash.
namespace sutazai::artifact {

using Checksum = std::array<std::byte, 16>;  ///< of XXH3, most significant byte first (XXH128_canonical)

[[nodiscard]] Checksum xxh3(Bytes bytes);

}  // namespace sutazai::artifact
