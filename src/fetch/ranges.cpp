#include "fetch/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "base/json_text.h"

namespace sutazai::fetch {
namespace {

namespace json = boost::json;

constexpr int kVersion = 2;

std::optional<std::uint64_t> number_at(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr) return std::nullopt;
    boost::system::error_code error;
    const auto number = value->to_number<std::uint64_t>(error);
    return error ? std::nullopt : std::optional(number);
}

/// Digits, then `separator`; both are taken off.
std::optional<std::uint64_t> take_number(std::string_view& text, char separator) {
    std::uint64_t number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
    if (separator != '\0') {
        if (!text.starts_with(separator)) return std::nullopt;
        text.remove_prefix(1);
    }
    return number;
}

json::array ranges_json(const RangeSet& set) {
    json::array out;
    for (const Range& range : set.ranges()) out.push_back(json::array{range.begin, range.end});
    return out;
}

std::optional<RangeSet> ranges_at(const json::object& object, const char* name, std::uint64_t size) {
    const json::value* const found = object.if_contains(name);
    if (found == nullptr || !found->is_array()) return std::nullopt;
    RangeSet out;
    std::optional<std::uint64_t> last;
    for (const json::value& one : found->get_array()) {
        if (!one.is_array() || one.get_array().size() != 2) return std::nullopt;
        boost::system::error_code no_begin;
        boost::system::error_code no_end;
        const auto begin = one.get_array()[0].to_number<std::uint64_t>(no_begin);
        const auto end = one.get_array()[1].to_number<std::uint64_t>(no_end);
        if (no_begin || no_end || begin >= end || end > size || (last && begin <= *last)) return std::nullopt;
        out.add({begin, end});
        last = end;
    }
    return out;
}

}  // namespace

void RangeSet::add(Range range) {
    if (range.begin >= range.end) return;
    // Those that it touches become one with it.
    const auto first = std::ranges::lower_bound(ranges_, range.begin, {}, &Range::end);
    auto last = first;
    for (; last != ranges_.end() && last->begin <= range.end; ++last) {
        range.begin = std::min(range.begin, last->begin);
        range.end = std::max(range.end, last->end);
        bytes_ -= last->bytes();
    }
    bytes_ += range.bytes();
    if (first != last) {
        *first = range;
        ranges_.erase(first + 1, last);
    } else {
        ranges_.insert(first, range);
    }
}

std::uint64_t RangeSet::front() const {
    return !ranges_.empty() && ranges_.front().begin == 0 ? ranges_.front().end : 0;
}

std::vector<Range> RangeSet::missing(std::uint64_t size, std::uint64_t most) const {
    std::vector<Range> out;
    const auto cut = [&](std::uint64_t begin, std::uint64_t end) {
        for (; begin < end; begin += std::min(most, end - begin)) {
            out.push_back({begin, begin + std::min(most, end - begin)});
        }
    };
    std::uint64_t at = 0;
    for (const Range& range : ranges_) {
        cut(at, std::min(range.begin, size));
        at = range.end;
    }
    cut(at, size);
    return out;
}

std::string encode_state(const PartialState& state) {
    return to_json(json::object{{"version", kVersion},
                                {"size", state.size},
                                {"validator", state.validator},
                                {"done", ranges_json(state.done)},
                                {"boot", state.boot},
                                {"synced", ranges_json(state.synced)}});
}

std::optional<PartialState> decode_state(std::string_view text) {
    if (text.size() > kMostStateBytes) return std::nullopt;
    boost::system::error_code error;
    const json::value parsed = json::parse(text, error);
    if (error || !parsed.is_object()) return std::nullopt;
    const json::object& object = parsed.get_object();
    const auto version = number_at(object, "version");
    const auto size = number_at(object, "size");
    const json::value* validator = object.if_contains("validator");
    const json::value* boot = object.if_contains("boot");
    if (version != kVersion || !size || validator == nullptr || !validator->is_string() || boot == nullptr ||
        !boot->is_string()) {
        return std::nullopt;
    }
    auto done = ranges_at(object, "done", *size);
    auto synced = ranges_at(object, "synced", *size);
    if (!done || !synced) return std::nullopt;
    return PartialState{*size, std::string(validator->get_string()), std::move(*done), std::string(boot->get_string()),
                        std::move(*synced)};
}

std::optional<ContentRange> parse_content_range(std::string_view header) {
    constexpr std::string_view kUnit = "bytes ";
    if (!header.starts_with(kUnit)) return std::nullopt;
    header.remove_prefix(kUnit.size());
    const auto first = take_number(header, '-');
    if (!first) return std::nullopt;
    const auto last = take_number(header, '/');
    if (!last) return std::nullopt;
    const auto size = take_number(header, '\0');
    if (!size || !header.empty() || *first > *last || *last >= *size) return std::nullopt;
    return ContentRange{{*first, *last + 1}, *size};
}

}  // namespace sutazai::fetch
