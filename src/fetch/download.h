#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/digest.h"
#include "base/error.h"
#include "fetch/client.h"
#include "fetch/partial_file.h"
#include "fetch/url.h"

/// Downloads of large files.
namespace sutazai::fetch {

/// What is to come, and where to.
struct Wanted {
    Url url;
    std::uint64_t size = 0;        ///< 0: the server is asked
    std::optional<Digest> digest;  ///< of the whole, where it is known before
    std::filesystem::path partial;
    unsigned connections = 4;
    std::uint64_t part_bytes = 0;  ///< of one request; 0: by the size
};

/// May be called a hundred times a second; `completed` falls when a download starts over.
using OnBytes = std::function<void(std::uint64_t completed, std::uint64_t total)>;

struct Downloaded {
    Digest digest{};
    std::uint64_t size = 0;
    std::filesystem::path path;  ///< `partial`, to be renamed by who asked
    File file;                   ///< holds its lock
};

/// Downloads in parts side by side over several connections, from a server without ranges in one stream; goes on where
/// an earlier download of the same file was cut; gives each part several tries. Two downloads to one place are one: the
/// second waits, and goes on itself when the first ends without a result. Nothing when `is_there` says that the wanted
/// thing is there meanwhile.
///
/// The data is verified: kUnavailable, and nothing of it is kept, when it has another digest. On other errors
/// (kCancelled too) what came stays for the next download. Blocks; no thread or connection outlives the call.
[[nodiscard]] Result<std::optional<Downloaded>> download(Client& client, const Wanted& wanted,
                                                         const std::function<bool()>& is_there,
                                                         const OnBytes& on_bytes);

}  // namespace sutazai::fetch
