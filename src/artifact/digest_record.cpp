#include "artifact/digest_record.h"

#include <fmt/format.h>

#include "artifact/files.h"
#include "artifact/hash.h"

namespace sutazai::artifact {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kChecksumBytes = 32;

/// Everything that changes when the file does.
std::string identity_of(const fs::path& absolute, const FileStamp& stamp) {
    return fmt::format("{}\ndevice {} inode {} size {} mtime {}.{:09} ctime {}.{:09}\n", absolute.string(),
                       stamp.device, stamp.inode, stamp.bytes, stamp.modified_ns / kSecond, stamp.modified_ns % kSecond,
                       stamp.changed_ns / kSecond, stamp.changed_ns % kSecond);
}

fs::path record_path(const fs::path& artifacts, const fs::path& absolute, std::string_view kind) {
    const Digest name = sha256(std::as_bytes(std::span(absolute.native())));
    return artifacts / "digests" / (to_hex(name).substr(0, 32) + std::string(kind));
}

}  // namespace

// <text> <identity> <hex of the checksum over all before>
std::optional<std::string> read_record(const fs::path& artifacts, const fs::path& absolute, const FileStamp& stamp,
                                       std::string_view kind, std::size_t most_bytes) {
    auto record = read_text(record_path(artifacts, absolute, kind), most_bytes);
    if (!record || record->size() < kChecksumBytes) return std::nullopt;
    const std::string identity = identity_of(absolute, stamp);
    const std::string_view body = std::string_view(*record).substr(0, record->size() - kChecksumBytes);
    if (!body.ends_with(identity)) return std::nullopt;
    if (record->substr(body.size()) != to_hex(xxh3(std::as_bytes(std::span(body))))) return std::nullopt;
    record->resize(body.size() - identity.size());
    if (!record->ends_with('\n')) return std::nullopt;
    return std::move(*record);
}

void write_record(const fs::path& artifacts, const fs::path& absolute, const FileStamp& stamp, std::string_view kind,
                  std::string_view text) {
    const fs::path path = record_path(artifacts, absolute, kind);
    std::string record(text);
    record += identity_of(absolute, stamp);
    record += to_hex(xxh3(std::as_bytes(std::span(record))));
    if (make_folder(path.parent_path())) (void)write_text(path, record, path.parent_path());
}

}  // namespace sutazai::artifact
