#include "artifact/transfer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "artifact/files.h"
#include "artifact/tar.h"

namespace sutazai::artifact {

namespace fs = std::filesystem;

namespace {

// intro, manifests, blocks, checksum, two blocks of zeros: in this order, and nothing after it.
constexpr std::string_view kIntroName = "sutazai-artifacts.txt";
constexpr std::string_view kChecksumName = "checksum.txt";
constexpr std::string_view kManifestName = "manifest.txt";
constexpr std::size_t kEndBytes = 2 * kTarBlockBytes;
constexpr std::size_t kMostTextBytes = 16 << 10;
constexpr std::size_t kMostFingerprints = 4096;
constexpr std::size_t kIdDigits = 16;

std::string intro_text() {
    return fmt::format("SutazAI cache artifacts, format {}\n", kFormatVersion);
}

std::string checksum_text(const Digest& digest, std::uint64_t artifacts) {
    return fmt::format("sha256 {} over all before\nartifacts {}\n", to_hex(digest), artifacts);
}

std::unexpected<Error> damaged(std::string_view why) {
    return fail(ErrorCode::kLoadFailed, fmt::format("the file is damaged: {}", why));
}
std::unexpected<Error> cancelled(std::string_view what) {
    return fail(ErrorCode::kCancelled, fmt::format("the {} was cancelled", what));
}

class ArchiveWriter {
  public:
    explicit ArchiveWriter(const File& file) : file_(file) {}

    Result<void> add(std::string_view name, Bytes content) {
        static constexpr std::array<std::byte, kTarBlockBytes> kZeros{};
        if (auto done = raw(tar_header(name, content.size())); !done) return done;
        if (auto done = raw(content); !done) return done;
        return raw(Bytes(kZeros).first(tar_padding(content.size())));
    }
    Result<void> add(std::string_view name, std::string_view text) { return add(name, std::as_bytes(std::span(text))); }
    Result<void> finish(std::uint64_t artifacts) {
        const Digest digest = sum_.finish();
        is_summing_ = false;
        if (auto done = add(kChecksumName, checksum_text(digest, artifacts)); !done) return done;
        static constexpr std::array<std::byte, kEndBytes> kZeros{};
        return raw(kZeros);
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  private:
    Result<void> raw(Bytes bytes) {
        if (is_summing_) sum_.add(bytes);
        bytes_ += bytes.size();
        return write_all(file_, bytes);
    }

    const File& file_;
    Sha256 sum_;
    bool is_summing_ = true;
    std::uint64_t bytes_ = 0;
};

class ArchiveReader {
  public:
    static Result<ArchiveReader> open(const fs::path& path) {
        auto file = open_file(path);
        if (!file) return std::unexpected(file.error());
        struct stat status {};
        if (fstat(file->fd(), &status) != 0) return std::unexpected(disk_error(path.string(), errno));
        return ArchiveReader(std::move(*file), static_cast<std::uint64_t>(status.st_size));
    }

    /// The next entry's name and size; content() takes it.
    Result<TarEntry> next() {
        TarHeader header{};
        if (auto read = take(header); !read) return std::unexpected(read.error());
        auto entry = parse_tar_header(header);
        if (!entry) return damaged(entry.error().message);
        if (entry->name == kChecksumName) {
            sum_before_checksum_ = summed_.finish();
            is_summing_ = false;
        } else {
            summed_.add(header);
        }
        left_ = entry->size;
        return entry;
    }
    /// All of the entry's content. `most` bounds what is allocated.
    Result<Buffer> content(std::uint64_t most) {
        if (left_ > most || left_ > size_ - at_) return damaged("it is cut short, or an entry is larger than any");
        Buffer buffer(static_cast<std::size_t>(left_));
        if (auto read = take(buffer.span()); !read) return std::unexpected(read.error());
        std::array<std::byte, kTarBlockBytes> padding{};
        const std::span<std::byte> zeros(padding.data(), tar_padding(left_));
        if (auto read = take(zeros); !read) return std::unexpected(read.error());
        if (std::ranges::any_of(zeros, [](std::byte byte) { return byte != std::byte{0}; })) {
            return damaged("there is something between two entries");
        }
        if (is_summing_) {
            summed_.add(std::as_const(buffer).span());
            summed_.add(zeros);
        }
        return buffer;
    }
    Result<void> check_end() {
        std::array<std::byte, kEndBytes> end{};
        if (auto read = take(end); !read) return read;
        if (at_ != size_ || std::ranges::any_of(end, [](std::byte byte) { return byte != std::byte{0}; })) {
            return damaged("there is something after its end");
        }
        return {};
    }
    [[nodiscard]] const Digest& sum_before_checksum() const { return sum_before_checksum_; }
    [[nodiscard]] std::uint64_t position() const { return at_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }

  private:
    ArchiveReader(File file, std::uint64_t size) : file_(std::move(file)), size_(size) {}

    Result<void> take(std::span<std::byte> to) {
        if (to.size() > size_ - at_) return damaged("it is cut short");
        if (auto read = read_at(file_, at_, to); !read) return read;
        at_ += to.size();
        return {};
    }

    File file_;
    std::uint64_t size_;
    std::uint64_t at_ = 0;
    std::uint64_t left_ = 0;
    Sha256 summed_;
    bool is_summing_ = true;
    Digest sum_before_checksum_{};
};

std::string_view text_of(const Buffer& buffer) {
    return {reinterpret_cast<const char*>(buffer.span().data()), buffer.size()};
}

struct ArchiveBlock {
    const Fingerprint& fingerprint;
    BlockHead head;
    Bytes bytes;  ///< the whole file
};

/// Walks through the file and verifies it on the way. The checksum comes last: what is seen before it is known to be
/// good by its own hashes only.
class ArchiveWalk {
  public:
    using SeeFingerprint = std::function<Result<void>(const Fingerprint&)>;
    using SeeBlock = std::function<Result<void>(const ArchiveBlock&)>;

    explicit ArchiveWalk(ArchiveReader& reader) : reader_(reader) {}

    /// Intro and manifests; afterwards `entry` is the first after them.
    Result<void> read_manifests(const SeeFingerprint& see, TarEntry& entry) {
        auto intro = reader_.next();
        if (!intro) return std::unexpected(intro.error());
        if (intro->name != kIntroName) return damaged("it does not begin as exported artifacts do");
        auto text = reader_.content(kMostTextBytes);
        if (!text) return std::unexpected(text.error());
        if (text_of(*text) != intro_text()) {
            return fail(
                ErrorCode::kInvalidArgument,
                fmt::format("the file is of another format version, or damaged; this is format {}", kFormatVersion));
        }
        for (;;) {
            auto next = reader_.next();
            if (!next) return std::unexpected(next.error());
            entry = std::move(*next);
            const std::string_view name(entry.name);
            if (name.size() != kIdDigits + 1 + kManifestName.size() || !name.ends_with(kManifestName)) return {};
            if (auto read = read_manifest(name.substr(0, kIdDigits), see); !read) return read;
        }
    }

    /// From there to the end.
    Result<std::uint64_t> read_blocks(TarEntry entry, const SeeBlock& see) {
        std::uint64_t blocks = 0;
        while (entry.name != kChecksumName) {
            if (auto read = read_block(entry, see); !read) return std::unexpected(read.error());
            ++blocks;
            auto next = reader_.next();
            if (!next) return std::unexpected(next.error());
            entry = std::move(*next);
        }
        auto text = reader_.content(kMostTextBytes);
        if (!text) return std::unexpected(text.error());
        if (text_of(*text) != checksum_text(reader_.sum_before_checksum(), blocks)) {
            return damaged("its checksum is not that of its content");
        }
        if (auto end = reader_.check_end(); !end) return std::unexpected(end.error());
        return blocks;
    }

    [[nodiscard]] const std::map<std::string, Fingerprint>& fingerprints() const { return fingerprints_; }

  private:
    Result<void> read_manifest(std::string_view id, const SeeFingerprint& see) {
        auto text = reader_.content(kMostTextBytes);
        if (!text) return std::unexpected(text.error());
        auto fingerprint = Fingerprint::parse(text_of(*text));
        if (!fingerprint || fingerprint->id() != id) return damaged("a manifest is not that of its folder");
        const auto [at, added] = fingerprints_.emplace(id, std::move(*fingerprint));
        if (!added || fingerprints_.size() > kMostFingerprints) return damaged("it has too many manifests");
        return see(at->second);
    }

    Result<void> read_block(const TarEntry& entry, const SeeBlock& see) {
        const std::string_view name(entry.name);
        const auto fingerprint = fingerprints_.find(std::string(name.substr(0, kIdDigits)));
        if (fingerprint == fingerprints_.end()) return damaged("an entry belongs to no manifest");
        const auto file = reader_.content(kMaxPayloadBytes + kMaxHeadBytes);
        if (!file) return std::unexpected(file.error());
        const Bytes bytes = file->span();
        auto head = decode_head(bytes, bytes.size());
        if (!head) return damaged(head.error().message);
        if (auto verified = verify_stored(*head, bytes.subspan(head->head_bytes)); !verified) {
            return damaged(verified.error().message);
        }
        const std::string expected = block_path(fingerprint->first, head->info.hash).string();
        if (head->info.fingerprint != fingerprint->second.digest() || name != expected) {
            return damaged("an artifact is not what its name says");
        }
        return see({fingerprint->second, std::move(*head), bytes});
    }

    ArchiveReader& reader_;
    std::map<std::string, Fingerprint> fingerprints_;
};

/// One pass over all of `file`.
Result<std::uint64_t> walk(const fs::path& file, const ArchiveWalk::SeeFingerprint& see_fingerprint,
                           const std::function<Result<void>(const ArchiveBlock&, const ArchiveReader&)>& see_block) {
    auto reader = ArchiveReader::open(file);
    if (!reader) return std::unexpected(reader.error());
    ArchiveWalk archive(*reader);
    TarEntry entry;
    if (auto read = archive.read_manifests(see_fingerprint, entry); !read) return std::unexpected(read.error());
    return archive.read_blocks(std::move(entry), [&](const ArchiveBlock& block) { return see_block(block, *reader); });
}

/// What an import has added so far; takes it out again unless it is told to keep it.
class Additions {
  public:
    ~Additions() {
        for (const fs::path& path : paths_) unlink(path.c_str());
    }
    void note(fs::path path) { paths_.push_back(std::move(path)); }
    [[nodiscard]] std::uint64_t count() const { return paths_.size(); }
    void keep() { paths_.clear(); }

  private:
    std::vector<fs::path> paths_;
};

}  // namespace

Result<TransferReport> export_artifacts(const fs::path& folder, const std::function<bool(const Fingerprint&)>& wanted,
                                        const fs::path& file, const TransferProgress& progress) {
    std::vector<FingerprintFolder> chosen = list_folder(folder);
    std::erase_if(chosen, [&](const FingerprintFolder& entry) {
        return entry.artifacts == 0 || (wanted && !wanted(entry.fingerprint));
    });
    if (chosen.empty()) return fail(ErrorCode::kNotFound, "there are no artifacts to export");

    auto temp = TempFile::create(file.parent_path(), fmt::format(".{}.part.", file.filename().string()));
    if (!temp) return std::unexpected(temp.error());
    ArchiveWriter archive(temp->file());
    TransferReport report;
    std::uint64_t total = 0;
    if (auto done = archive.add(kIntroName, intro_text()); !done) return std::unexpected(done.error());
    for (const FingerprintFolder& entry : chosen) {
        const std::string id = entry.fingerprint.id();
        report.fingerprints.push_back(id);
        total += entry.bytes;
        if (auto done = archive.add(fmt::format("{}/{}", id, kManifestName), entry.fingerprint.text()); !done) {
            return std::unexpected(done.error());
        }
    }
    for (const FingerprintFolder& entry : chosen) {
        std::vector<FileEntry> blocks = list_blocks(entry.path);
        std::ranges::sort(blocks, {}, &FileEntry::hash);
        for (const FileEntry& block : blocks) {
            if (progress && !progress(std::min(archive.bytes(), total), total)) return cancelled("export");
            const auto bytes = read_verified(block_path(entry.path, block.hash), entry.fingerprint, block.hash);
            if (!bytes) {
                ++report.skipped;
                continue;
            }
            const std::string name = block_path(entry.fingerprint.id(), block.hash).string();
            if (auto done = archive.add(name, bytes->span()); !done) return std::unexpected(done.error());
            ++report.artifacts;
        }
    }
    if (report.artifacts == 0) return fail(ErrorCode::kNotFound, "there are no artifacts to export that are whole");
    if (auto done = archive.finish(report.artifacts); !done) return std::unexpected(done.error());
    if (auto done = temp->sync(); !done) return std::unexpected(done.error());
    if (auto done = temp->commit(file); !done) return std::unexpected(done.error());
    sync_folder(file.parent_path());
    report.bytes = archive.bytes();
    if (progress) progress(total, total);
    return report;
}

Result<TransferReport> import_artifacts(const fs::path& file, const fs::path& folder,
                                        const std::function<std::string(const Fingerprint&)>& accept, UnixTime now,
                                        const TransferProgress& progress) {
    TransferReport report;
    const auto see_fingerprint = [&](const Fingerprint& fingerprint) -> Result<void> {
        const std::string reason = accept ? accept(fingerprint) : std::string();
        if (!reason.empty()) return fail(ErrorCode::kInvalidArgument, reason);
        report.fingerprints.push_back(fingerprint.id());
        return {};
    };
    const auto verified =
        walk(file, see_fingerprint, [&](const ArchiveBlock&, const ArchiveReader& reader) -> Result<void> {
            report.bytes = reader.size();
            if (progress && !progress(reader.position() / 2, reader.size())) return cancelled("import");
            return {};
        });
    if (!verified) return std::unexpected(verified.error());
    report.artifacts = *verified;

    Additions additions;
    const auto add = [&](const ArchiveBlock& block, const ArchiveReader& reader) -> Result<void> {
        if (progress && !progress((reader.size() + reader.position()) / 2, reader.size())) return cancelled("import");
        const fs::path path = block_path(folder / block.fingerprint.id(), block.head.info.hash);
        if (mark_used(folder, path, {now, 0})) return {};
        const Bytes head = block.bytes.first(block.head.head_bytes);
        if (auto done = place_block(folder, path, head, block.bytes.subspan(head.size()), {now, 1}); !done) return done;
        additions.note(path);
        return {};
    };
    const auto added = walk(
        file, [&](const Fingerprint& fingerprint) { return make_fingerprint_folder(folder, fingerprint); }, add);
    if (!added) return std::unexpected(added.error());
    report.added = additions.count();
    additions.keep();
    if (progress) progress(report.bytes, report.bytes);
    return report;
}

Result<std::vector<Fingerprint>> exported_fingerprints(const fs::path& file) {
    auto reader = ArchiveReader::open(file);
    if (!reader) return std::unexpected(reader.error());
    std::vector<Fingerprint> out;
    TarEntry entry;
    const auto collect = [&](const Fingerprint& fingerprint) -> Result<void> {
        out.push_back(fingerprint);
        return {};
    };
    if (auto read = ArchiveWalk(*reader).read_manifests(collect, entry); !read) return std::unexpected(read.error());
    return out;
}

}  // namespace sutazai::artifact
