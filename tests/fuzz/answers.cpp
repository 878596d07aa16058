// Answers with thoughts and calls: the first byte says how the rest is cut. However it is, the message is the same.
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "require.h"
#include "text/testing/tagged_shape.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sutazai::text::testing;
    constexpr std::size_t kLongest = 1024;
    if (size < 2 || size > kLongest) return 0;
    const std::string_view answer(reinterpret_cast<const char*>(data) + 1, size - 1);
    static const auto shape = std::make_shared<const TaggedShape>();
    const bool whole = data[0] % 2 == 0;
    const std::size_t step = 1 + data[0] / 32;
    std::vector<std::size_t> cuts;
    for (std::size_t at = step; at < answer.size(); at += step + (data[1 + at % (size - 1)] % 4)) cuts.push_back(at);
    const auto at_once = read_in_pieces(shape, answer, std::vector<std::size_t>(), whole);
    REQUIRE(read_in_pieces(shape, answer, cuts, whole) == at_once);
    return 0;
}
