#include "artifact/hash.h"

#include <xxhash.h>

#include <cstring>

namespace sutazai::artifact {

Checksum xxh3(Bytes bytes) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
    Checksum checksum{};
    static_assert(sizeof canonical == sizeof checksum);
    std::memcpy(checksum.data(), &canonical, sizeof canonical);
    return checksum;
}

}  // namespace sutazai::artifact
