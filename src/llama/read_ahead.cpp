#include "llama/read_ahead.h"

#include <fcntl.h>
#include <llama-prefetch.h>
#include <sys/uio.h>

#include <algorithm>
#include <fstream>
#include <stop_token>
#include <utility>

#include "base/files.h"
#include "base/model_parts.h"

namespace sutazai::llama {
namespace {

/// Reading so much more is quicker than another request to the disk.
constexpr std::uint64_t kGap = 256 << 10;
/// Of one call, which waits while the disk's queue is full.
constexpr std::uint64_t kStep = 8 << 20;

/// Looks at some places only.
bool is_in_memory(const File& file, std::uint64_t bytes) {
    constexpr std::uint64_t kPlaces = 64;
    char byte = 0;
    const iovec one{&byte, 1};
    for (std::uint64_t i = 0; i < kPlaces; ++i) {
        if (::preadv2(file.fd(), &one, 1, static_cast<off64_t>(bytes / kPlaces * i), RWF_NOWAIT) != 1) return false;
    }
    return true;
}

void read_besides(const std::string& path, const std::set<std::string>& spared, const std::stop_token& stop) {
    const auto file = open_file(path);
    const auto stamp = stamp_of(path);
    std::ifstream in(path, std::ios::binary);
    if (!file || !stamp || !in) return;  // whoever loads it says so
    if (is_in_memory(*file, stamp->bytes)) return;
    const auto outline = gguf::read_outline(in, stamp->bytes);
    if (!outline) return;
    for (const gguf::Range& range : ranges_besides(*outline, spared)) {
        for (std::uint64_t done = 0; done < range.bytes; done += kStep) {
            if (stop.stop_requested()) return;
            const auto length = static_cast<std::size_t>(std::min(kStep, range.bytes - done));
            (void)::readahead(file->fd(), static_cast<off64_t>(range.begin + done), length);
        }
    }
}

}  // namespace

std::vector<gguf::Range> ranges_besides(const gguf::Outline& outline, const std::set<std::string>& spared) {
    std::vector<gguf::Range> needed{{0, outline.data_offset}};
    for (const gguf::Tensor& tensor : outline.tensors) {
        if (tensor.bytes > 0 && !spared.contains(tensor.name)) needed.push_back({tensor.begin, tensor.bytes});
    }
    std::ranges::sort(needed, {}, &gguf::Range::begin);
    std::vector<gguf::Range> joined;
    for (const gguf::Range& range : needed) {
        const std::uint64_t end = joined.empty() ? 0 : joined.back().begin + joined.back().bytes;
        if (joined.empty() || range.begin > end + kGap) {
            joined.push_back(range);
        } else {
            joined.back().bytes = std::max(end, range.begin + range.bytes) - joined.back().begin;
        }
    }
    return joined;
}

ReadAhead::ReadAhead(const std::string& model, std::set<std::string> spared) {
    llama_set_prefetch(false);
    reader_ = std::jthread([parts = model_parts(model), spared = std::move(spared)](const std::stop_token& stop) {
        for (const std::string& part : parts) read_besides(part, spared, stop);
    });
}

ReadAhead::~ReadAhead() {
    llama_set_prefetch(true);
}

}  // namespace sutazai::llama
