#include "llama/read_ahead.h"

#include <gtest/gtest.h>

#include <vector>

namespace sutazai::llama {
namespace {

using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

Ranges ranges_of(const gguf::Outline& outline, const std::set<std::string>& spared) {
    Ranges out;
    for (const gguf::Range& range : ranges_besides(outline, spared)) out.emplace_back(range.begin, range.bytes);
    return out;
}

TEST(ReadAhead, ReadsTheHeadAndWhatIsNotSpared) {
    constexpr std::uint64_t kMiB = 1 << 20;
    gguf::Outline outline;
    outline.data_offset = kMiB;
    // Not in their order, as in no file that we know.
    outline.tensors.push_back({.name = "c", .bytes = kMiB, .begin = 9 * kMiB});
    outline.tensors.push_back({.name = "a", .bytes = 3 * kMiB, .begin = kMiB});
    outline.tensors.push_back({.name = "b", .bytes = 5 * kMiB, .begin = 4 * kMiB});
    outline.tensors.push_back({.name = "none", .bytes = 0, .begin = 9 * kMiB});
    outline.tensors.push_back({.name = "d", .bytes = 100, .begin = 10 * kMiB + 1000});

    EXPECT_EQ(ranges_of(outline, {}), (Ranges{{0, 10 * kMiB + 1100}})) << "a gap of 1000 bytes is read, too";
    EXPECT_EQ(ranges_of(outline, {"a"}), (Ranges{{0, kMiB}, {4 * kMiB, 6 * kMiB + 1100}}));
    EXPECT_EQ(ranges_of(outline, {"a", "b"}), (Ranges{{0, kMiB}, {9 * kMiB, kMiB + 1100}}));
    EXPECT_EQ(ranges_of(outline, {"a", "b", "c", "d", "more"}), (Ranges{{0, kMiB}}));
}

}  // namespace
}  // namespace sutazai::llama
