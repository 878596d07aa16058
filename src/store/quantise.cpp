#include "store/quantise.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

#include "base/files.h"
#include "catalog/gguf_file.h"
#include "ipc/process.h"

namespace sutazai::store {

namespace fs = std::filesystem;

namespace {

/// Between two looks at the file that grows.
constexpr int kLookMs = 100;
/// A disk with less is full.
constexpr std::uint64_t kFullBytes = 1 << 20;
/// Of what a worker says.
constexpr std::size_t kMostSaid = 64 << 10;

/// What the worker has said.
struct Said {
    std::string text;

    [[nodiscard]] std::optional<std::string> last(std::string_view word) const {
        std::optional<std::string> found;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            const std::string_view line = std::string_view(text).substr(at, end - at);
            if (line.starts_with(word) && line.substr(word.size()).starts_with(' ')) {
                found = std::string(line.substr(word.size() + 1));
            }
            at = end + 1;
        }
        return found;
    }
    [[nodiscard]] std::uint64_t size() const {
        const std::string number = last(kSizeWord).value_or("0");
        std::uint64_t out = 0;
        std::from_chars(number.data(), number.data() + number.size(), out);
        return out;
    }
};

/// Reads what there is; false at the end.
bool read_some(const File& socket, Said& said) {
    std::array<char, 4096> piece{};
    const ssize_t n = read(socket.fd(), piece.data(), piece.size());
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    if (said.text.size() < kMostSaid) said.text.append(piece.data(), static_cast<std::size_t>(n));
    return n > 0;
}

std::string type_of(const fs::path& weights) {
    const auto summary = catalog::read_gguf_summary(weights.string());
    return summary && summary->file_type ? catalog::file_type_name(*summary->file_type) : "";
}

Result<void> run_worker(const std::vector<std::string>& command, const fs::path& output, const std::string& status,
                        const std::string& digest, const WorkContext& work) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return std::unexpected(disk_error("no socket can be made", errno));
    }
    const File ours(ends[0]);
    File theirs(ends[1]);
    auto child = ipc::ChildProcess::spawn(command, theirs.fd());
    theirs.close();
    if (!child) return std::unexpected(std::move(child.error()));
    Said said;
    for (bool goes_on = true; goes_on;) {
        if (work.stop.stop_requested()) return fail(ErrorCode::kCancelled, "cancelled");  // and the child is killed
        pollfd wait{ours.fd(), POLLIN, 0};
        if (poll(&wait, 1, kLookMs) > 0) goes_on = read_some(ours, said);
        const auto written = file_status(output);
        const std::uint64_t size = said.size();
        const auto done = static_cast<std::uint64_t>(written ? written->st_size : 0);
        work.tell({status, digest, size, std::min(done, size)});
    }
    const ipc::ExitStatus ended = child->reap();
    if (ended.success()) return {};
    if (auto why = said.last(kErrorWord)) return fail(ErrorCode::kLoadFailed, std::move(*why));
    return fail(ErrorCode::kEngineDied, fmt::format("the process that quantises {}", ended.describe()));
}

Result<StoredBlob> quantise(std::vector<std::string> command, const ModelStore& store, const fs::path& weights,
                            const std::string& type, const WorkContext& work) {
    auto writer = store.new_blob();
    if (!writer) return std::unexpected(std::move(writer.error()));
    for (std::string part : {std::string("--input"), weights.string(), std::string("--output"), writer->path().string(),
                             std::string("--type"), type}) {
        command.push_back(std::move(part));
    }
    const std::string status = fmt::format("quantizing {} model to {}", type_of(weights), type);
    // Clients tell their progress bars apart by digests; the file that is made has none yet.
    const std::string digest = to_text(sha256(std::as_bytes(std::span(writer->path().native()))));
    if (auto ran = run_worker(command, writer->path(), status, digest, work); !ran) {
        // llama.cpp says of a full disk only that writing failed.
        std::error_code unknown;
        const fs::space_info space = fs::space(store.blobs(), unknown);
        if (!unknown && space.available < kFullBytes && ran.error().code != ErrorCode::kCancelled) {
            return std::unexpected(cannot_write(store.blobs(), disk_error("quantising failed", ENOSPC)));
        }
        return std::unexpected(std::move(ran.error()));
    }
    work.tell({"verifying the new weights"});
    auto summed = writer->take_file([&](std::uint64_t) { return !work.stop.stop_requested(); });
    if (!summed) return std::unexpected(std::move(summed.error()));
    if (const auto summary = catalog::read_gguf_summary(writer->path().string()); !summary) {
        return fail(ErrorCode::kLoadFailed, "the weights that were made are none: " + summary.error().message);
    }
    work.tell({status, digest, writer->bytes(), writer->bytes()});
    return writer->commit();
}

}  // namespace

Quantiser quantiser_process(std::uint32_t threads) {
    return quantiser_process({"/proc/self/exe", "quantize-worker", "--threads", fmt::to_string(threads)});
}

Quantiser quantiser_process(std::vector<std::string> command) {
    return [command = std::move(command)](const ModelStore& store, const fs::path& weights, const std::string& type,
                                          const WorkContext& work) {
        return quantise(command, store, weights, type, work);
    };
}

}  // namespace sutazai::store
