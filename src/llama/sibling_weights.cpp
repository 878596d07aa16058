#include "llama/sibling_weights.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "artifact/tensor_digests.h"
#include "base/model_parts.h"

namespace sutazai::llama {
namespace {

constexpr std::uint64_t kLeastShare = 2;  // one half

struct Origin {
    std::string translation;
    FileStamps stamps;
    std::vector<std::string> paths;  // canonical
};

// A line for the translation, then one for each file. No path with a line feed is ever shared.
std::string to_text(const Origin& origin) {
    std::string out = origin.translation + "\n";
    for (std::size_t i = 0; i < origin.paths.size(); ++i) {
        const FileStamp& stamp = origin.stamps.at(i);
        out += fmt::format("{} {} {} {} {} {}\n", stamp.device, stamp.inode, stamp.bytes, stamp.modified_ns,
                           stamp.changed_ns, origin.paths[i]);
    }
    return out;
}

std::optional<Origin> parse(std::string_view text) {
    const auto line = [&text] {
        const std::string_view taken = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), taken.size() + 1));
        return taken;
    };
    Origin out;
    out.translation = line();
    while (!text.empty()) {
        std::string_view rest = line();
        const auto number = [&rest](auto& value) {
            const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
            if (error != std::errc() || end == rest.data() + rest.size()) return false;
            rest.remove_prefix(static_cast<std::size_t>(end - rest.data()) + 1);
            return true;
        };
        FileStamp stamp;
        if (!number(stamp.device) || !number(stamp.inode) || !number(stamp.bytes) || !number(stamp.modified_ns) ||
            !number(stamp.changed_ns)) {
            return std::nullopt;
        }
        out.stamps.push_back(stamp);
        out.paths.emplace_back(rest);
    }
    return out;
}

/// Nothing when a file cannot be named.
std::optional<Origin> origin_of(const ModelSource& source, const FileStamps& stamps) {
    Origin out;
    out.stamps = stamps;
    if (source.translated) out.translation = source.translated->translation().id();
    for (const std::string& part : model_parts(source.path)) {
        std::error_code error;
        out.paths.push_back(std::filesystem::canonical(part, error).string());
        if (error || out.paths.back().find('\n') != std::string::npos) return std::nullopt;
    }
    return out.paths.size() == stamps.size() ? std::optional(out) : std::nullopt;
}

/// What is known of the tensors in all files; of what is translated nothing is.
std::optional<artifact::TensorDigests> digests_of(const std::string& artifacts, const Origin& origin) {
    if (artifacts.empty() || !origin.translation.empty()) return std::nullopt;
    artifact::TensorDigests out;
    for (std::size_t i = 0; i < origin.paths.size(); ++i) {
        auto known = artifact::cached_tensor_digests(artifacts, origin.paths[i], origin.stamps[i]);
        if (!known) return std::nullopt;
        out.merge(*known);
    }
    return out;
}

bool same_files(const Origin& a, const Origin& b) {
    return a.translation == b.translation &&
           std::ranges::equal(a.stamps, b.stamps, [](const auto& x, const auto& y) { return x.same_content(y); });
}

}  // namespace

SiblingWeights sibling_weights(const LoadOptions& options, const ModelSource& source, const FileStamps& stamps) {
    const auto own = origin_of(source, stamps);
    SiblingWeights out{kernels::WeightShare(own ? to_text(*own) : "?"), "", {}};
    if (!own) return out;
    const std::string build = kernels::build_of_this_process();
    std::optional<std::optional<artifact::TensorDigests>> own_digests;
    std::optional<kernels::WeightMemory> best;
    std::set<std::string> best_same;
    std::uint64_t best_bytes = 0;
    for (const LoadOptions::Sibling& sibling : options.siblings) {
        auto memory = kernels::WeightMemory::open(sibling.pid, sibling.fd);
        if (!memory || memory->contents().build != build) continue;
        const auto theirs = parse(memory->contents().origin);
        if (!theirs) continue;
        const bool all = same_files(*own, *theirs);
        std::optional<artifact::TensorDigests> their_digests;
        if (!all) {
            if (!own_digests) own_digests = digests_of(options.artifacts_dir, *own);
            if (*own_digests) their_digests = digests_of(options.artifacts_dir, *theirs);
            if (!their_digests) continue;
        }
        std::set<std::string> same;
        std::uint64_t bytes = 0;
        for (const kernels::PlacedTensor& tensor : memory->contents().tensors) {
            if (!all) {
                const auto mine = (*own_digests)->find(tensor.name);
                const auto other = their_digests->find(tensor.name);
                if (mine == (*own_digests)->end() || other == their_digests->end() || mine->second != other->second) {
                    continue;
                }
            }
            same.insert(tensor.name);
            bytes += tensor.bytes;
        }
        if (bytes <= best_bytes || bytes < memory->contents().buffer_bytes / kLeastShare) continue;
        best = std::move(memory);
        best_same = std::move(same);
        best_bytes = bytes;
        out.sibling = sibling.model;
    }
    if (best) {
        spdlog::debug("{} tensors are the same as those of {}", best_same.size(), out.sibling);
        out.spared = best_same;
        out.share.start_from(std::move(*best), std::move(best_same));
    }
    return out;
}

}  // namespace sutazai::llama
