#include "fetch/places.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <string>

#include "base/byte_text.h"

namespace sutazai::fetch {

Result<Url> place_of(const Access& access, const Source& source, Direction direction) {
    const bool is_hugging_face = source.kind == Source::Kind::kHuggingFace;
    const std::string host =
        is_hugging_face ? std::string(kHuggingFaceHost) : catalog::in_small_letters(source.name.host);
    if (direction == Direction::kPull) {
        for (const std::string& name : {host, catalog::in_small_letters(source.name.host)}) {
            if (const auto mirror = access.mirrors.find(name); mirror != access.mirrors.end()) return mirror->second;
        }
    }
    auto url = parse_url(fmt::format("{}://{}/", access.insecure ? "http" : "https", host));
    if (!url) return fail(ErrorCode::kInvalidArgument, fmt::format("{} is no valid host", host), "model");
    return url;
}

Result<void> check_free_disk(const std::filesystem::path& folder, std::uint64_t bytes) {
    struct statvfs disk {};
    if (::statvfs(folder.c_str(), &disk) != 0) return {};
    const std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (free >= bytes) return {};
    return fail(ErrorCode::kUnavailable, fmt::format("{} more are needed in {}, and {} are free", byte_text(bytes),
                                                     folder.string(), byte_text(free)));
}

}  // namespace sutazai::fetch
