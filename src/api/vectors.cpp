#include "api/vectors.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/digest.h"
#include "base/json_text.h"

namespace sutazai::api {

Result<void> shorten(std::vector<float>& embedding, std::size_t dimensions) {
    if (dimensions == 0 || dimensions == embedding.size()) return {};
    if (dimensions > embedding.size()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("dimensions must be at most {}, which is what this model makes (got {})",
                                embedding.size(), dimensions),
                    "dimensions");
    }
    embedding.resize(dimensions);
    double square = 0;
    for (const float value : embedding) square += static_cast<double>(value) * static_cast<double>(value);
    const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
    for (float& value : embedding) value = static_cast<float>(static_cast<double>(value) * scale);
    return {};
}

void append_vector(std::string& out, std::span<const float> numbers) {
    char before = '[';
    for (const float number : numbers) {
        out += std::exchange(before, ',');
        fmt::format_to(std::back_inserter(out), "{}", number);
    }
    out += before == '[' ? "[]" : "]";
}

void append_base64(std::string& out, std::span<const float> numbers) {
    static_assert(std::endian::native == std::endian::little, "the format is little-endian");
    append_quoted(out, to_base64(std::as_bytes(numbers)));
}

}  // namespace sutazai::api
