#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>

#include "grammar/expression.h"

namespace sutazai::grammar {

/// Digits of a number that a grammar lets a text write, before and after the point each. More than a double or a 64-bit
/// integer tells apart, and not without end: a model that has come to writing digits may not come to an end by itself.
inline constexpr std::uint32_t kMaxDigits = 20;

/// A number as it is written, exactly.
struct Decimal {
    bool negative = false;
    std::string whole;     ///< digits without leading zeros; "0" for none
    std::string fraction;  ///< digits without trailing zeros

    /// Of a JSON number. A floating one is the shortest that reads as the same.
    [[nodiscard]] static Decimal of(const boost::json::value& number);
    [[nodiscard]] bool is_whole() const { return fraction.empty(); }
    [[nodiscard]] std::string text() const;
};
[[nodiscard]] int compare(const Decimal& a, const Decimal& b);  ///< below, at or above 0

struct NumberRange {
    struct Bound {
        Decimal value;
        bool excluded = false;
    };
    std::optional<Bound> least, most;

    /// Both hold.
    void raise_least(Bound bound);
    void lower_most(Bound bound);
};

/// What may be written: whole numbers without point and exponent, others without exponent unless `range` is open on
/// both sides. An upper bound that no number of kMaxDigits reaches is none; nothing() when none is in the range.
[[nodiscard]] Expression whole_numbers(const NumberRange& range);
[[nodiscard]] Expression numbers(const NumberRange& range);

}  // namespace sutazai::grammar
