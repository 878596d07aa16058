#include "grammar/schema_limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sutazai::grammar {

namespace json = boost::json;

namespace {

/// kEndless for what is at least as much. Unset when the keyword is not there.
Checked<std::optional<std::uint32_t>> count_of(const json::object& node, std::string_view name) {
    const json::value* value = node.if_contains(name);
    if (value == nullptr) return std::nullopt;
    const bool whole = value->is_number() && Decimal::of(*value).is_whole();
    if (!whole || Decimal::of(*value).negative)
        return wrong(fmt::format("has {} that is no whole number from 0 on", name));
    if (const auto* small = value->if_int64())
        return static_cast<std::uint32_t>(std::min<std::int64_t>(*small, kEndless));
    if (value->is_uint64()) return kEndless;
    return static_cast<std::uint32_t>(std::min<double>(value->get_double(), kEndless));
}

Checked<std::optional<Decimal>> number_of(const json::object& node, std::string_view name) {
    const json::value* value = node.if_contains(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) return wrong(fmt::format("has {} that is no number", name));
    return Decimal::of(*value);
}

}  // namespace

Checked<void> narrow(CountRange& range, const json::object& node, std::string_view least, std::string_view most) {
    const auto low = count_of(node, least);
    if (!low) return std::unexpected(low.error());
    const auto high = count_of(node, most);
    if (!high) return std::unexpected(high.error());
    if (*low) range.least = std::max(range.least, **low);
    if (*high) range.most = std::min(range.most, **high);
    if (range.least == kEndless) return unsupported(fmt::format("has {} that no text reaches", least));
    if (range.least > range.most) return unsupported(fmt::format("has {} above {}", least, most));
    return {};
}

Checked<void> narrow(NumberRange& range, const json::object& node) {
    for (const bool excluded : {false, true}) {
        const char* least = excluded ? "exclusiveMinimum" : "minimum";
        const char* most = excluded ? "exclusiveMaximum" : "maximum";
        auto low = number_of(node, least);
        if (!low) return std::unexpected(std::move(low.error()));
        auto high = number_of(node, most);
        if (!high) return std::unexpected(std::move(high.error()));
        if (*low) {
            if (!(**low).negative && (**low).whole.size() > kMaxDigits) {
                return unsupported(fmt::format("has {} above all numbers of {} digits", least, kMaxDigits));
            }
            range.raise_least({std::move(**low), excluded});
        }
        if (*high) {
            if ((**high).negative && (**high).whole.size() > kMaxDigits) {
                return unsupported(fmt::format("has {} below all numbers of {} digits", most, kMaxDigits));
            }
            range.lower_most({std::move(**high), excluded});
        }
    }
    if (range.least && range.most) {
        const int order = compare(range.least->value, range.most->value);
        if (order > 0 || (order == 0 && (range.least->excluded || range.most->excluded))) {
            return unsupported("has a minimum above its maximum");
        }
    }
    return {};
}

}  // namespace sutazai::grammar
