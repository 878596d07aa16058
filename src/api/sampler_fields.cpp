#include "api/sampler_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace sutazai::api {

namespace json = boost::json;

namespace {

constexpr std::size_t kMostBreakers = 32;
constexpr std::size_t kMostBreakerBytes = 64;
constexpr float kMostBias = 1000;

/// A list of texts takes the place of what is in `out`.
void read_texts(FieldReader& fields, const char* name, std::size_t most, std::vector<std::string>& out) {
    const json::value* value = fields.find(name);
    if (value == nullptr) return;
    if (!value->is_array() || value->get_array().size() > most) {
        return fields.refuse(name, fmt::format("must be a list of at most {} strings", most));
    }
    out.clear();
    for (const json::value& entry : value->get_array()) {
        const std::string place = fmt::format("{}[{}]", name, out.size());
        if (!entry.is_string()) return fields.refuse(place, fmt::format("must be a string (got {})", kind_of(entry)));
        const std::string_view text = entry.get_string();
        if (text.empty() || text.size() > kMostBreakerBytes) {
            return fields.refuse(place,
                                 fmt::format("must have 1 to {} bytes (got {})", kMostBreakerBytes, text.size()));
        }
        out.emplace_back(text);
    }
}

void read_window(FieldReader& fields, const char* name, int& out) {
    fields.integer(name, -1, kMostPenaltyWindow, out);
    if (out < 0) out = kMostPenaltyWindow;
}

void read_samplers(FieldReader& fields, std::vector<std::string>& out) {
    read_texts(fields, "samplers", kSamplerNames.size(), out);
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (out[i] == "typical_p") out[i] = "typ_p";
        if (std::ranges::find(kSamplerNames, out[i]) != kSamplerNames.end()) continue;
        return fields.refuse(fmt::format("samplers[{}]", i),
                             fmt::format("must be one of {}", fmt::join(kSamplerNames, ", ")));
    }
}

void add_bias(FieldReader& fields, const std::string& place, std::int64_t token, const json::value& value,
              std::vector<LogitBias>& out) {
    constexpr auto kNever = -std::numeric_limits<float>::infinity();
    if (token < 0 || token > std::numeric_limits<std::int32_t>::max()) {
        return fields.refuse(place, "must name a token by its id, a whole number from 0 on (/tokenize tells it)");
    }
    const auto id = static_cast<std::int32_t>(token);
    if (value.is_bool() && !value.get_bool()) {
        out.push_back({id, kNever});
        return;
    }
    const double bias = value.is_number() ? value.to_number<double>() : std::numeric_limits<double>::infinity();
    if (!(std::abs(bias) <= static_cast<double>(kMostBias))) {
        return fields.refuse(place, fmt::format("must be a number between {} and {}, or false", -kMostBias, kMostBias));
    }
    out.push_back({id, static_cast<float>(bias)});
}

std::int64_t id_in(std::string_view key) {
    std::int64_t id = -1;
    const auto [end, failure] = std::from_chars(key.data(), key.data() + key.size(), id);
    return failure == std::errc() && end == key.data() + key.size() ? id : -1;
}

}  // namespace

void read_more_sampling(FieldReader& fields, SamplingParams& out) {
    MoreSampling more;
    read_window(fields, "repeat_last_n", more.repeat_last_n);
    fields.number("top_n_sigma", {-1, 100}, more.top_n_sigma);
    fields.number("typical_p", {0, 1, true}, more.typical_p);
    fields.number("xtc_probability", {0, 1}, more.xtc_probability);
    fields.number("xtc_threshold", {0, 1}, more.xtc_threshold);
    fields.number("dynatemp_range", {0, 2}, more.dynatemp_range);
    fields.number("dynatemp_exponent", {0, 10}, more.dynatemp_exponent);
    fields.number("dry_multiplier", {0, 10}, more.dry_multiplier);
    fields.number("dry_base", {1, 10}, more.dry_base);
    fields.integer("dry_allowed_length", 0, kMostPenaltyWindow, more.dry_allowed_length);
    read_window(fields, "dry_penalty_last_n", more.dry_penalty_last_n);
    read_texts(fields, "dry_sequence_breakers", kMostBreakers, more.dry_sequence_breakers);
    fields.integer("mirostat", 0, 2, more.mirostat);
    fields.number("mirostat_tau", {0, 20}, more.mirostat_tau);
    fields.number("mirostat_eta", {0, 1}, more.mirostat_eta);
    fields.integer("min_keep", 0, 10000, more.min_keep);
    read_samplers(fields, more.samplers);
    if (more != MoreSampling{}) out.more = std::move(more);
}

void read_logit_bias(FieldReader& fields, SamplingParams& out) {
    const json::value* value = fields.find("logit_bias");
    if (value == nullptr) return;
    const std::size_t n = value->is_array()    ? value->get_array().size()
                          : value->is_object() ? value->get_object().size()
                                               : 0;
    if (!(value->is_array() || value->is_object()) || n > kMostLogitBiases) {
        return fields.refuse("logit_bias",
                             fmt::format("must be an object of token ids and numbers, at most {}", kMostLogitBiases));
    }
    if (value->is_object()) {
        for (const auto& [key, bias] : value->get_object()) {
            add_bias(fields, fmt::format("logit_bias.{}", std::string_view(key)), id_in(key), bias, out.logit_bias);
        }
        return;
    }
    for (const json::value& pair : value->get_array()) {
        const std::string place = fmt::format("logit_bias[{}]", out.logit_bias.size());
        if (!pair.is_array() || pair.get_array().size() != 2) {
            return fields.refuse(place, "must be a list of a token id and a number");
        }
        const auto* id = pair.get_array()[0].if_int64();
        add_bias(fields, place, id == nullptr ? -1 : *id, pair.get_array()[1], out.logit_bias);
        if (fields.failed()) return;
    }
}

}  // namespace sutazai::api
