#include "upstream/sampler_words.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>

#include "base/json_text.h"

namespace sutazai::upstream {

namespace json = boost::json;

namespace {

constexpr double kNever = -100;  // as OpenAI has it

json::array list_of(const std::vector<std::string>& texts) {
    json::array out;
    for (const std::string& text : texts) out.push_back(json::string(text));
    return out;
}

}  // namespace

json::object more_sampling_json(const SamplingParams& sampling) {
    json::object out;
    if (!sampling.more) return out;
    const MoreSampling& more = *sampling.more;
    const MoreSampling usual;
    const auto number = [&](const char* name, float value, float other) {
        if (value != other) out[name] = as_written(value);
    };
    const auto whole = [&](const char* name, int value, int other) {
        if (value != other) out[name] = value;
    };
    whole("repeat_last_n", more.repeat_last_n, usual.repeat_last_n);
    whole("dry_allowed_length", more.dry_allowed_length, usual.dry_allowed_length);
    whole("dry_penalty_last_n", more.dry_penalty_last_n, usual.dry_penalty_last_n);
    whole("mirostat", more.mirostat, usual.mirostat);
    whole("min_keep", more.min_keep, usual.min_keep);
    number("top_n_sigma", more.top_n_sigma, usual.top_n_sigma);
    number("typical_p", more.typical_p, usual.typical_p);
    number("xtc_probability", more.xtc_probability, usual.xtc_probability);
    number("xtc_threshold", more.xtc_threshold, usual.xtc_threshold);
    number("dynatemp_range", more.dynatemp_range, usual.dynatemp_range);
    number("dynatemp_exponent", more.dynatemp_exponent, usual.dynatemp_exponent);
    number("dry_multiplier", more.dry_multiplier, usual.dry_multiplier);
    number("dry_base", more.dry_base, usual.dry_base);
    number("mirostat_tau", more.mirostat_tau, usual.mirostat_tau);
    number("mirostat_eta", more.mirostat_eta, usual.mirostat_eta);
    if (more.dry_sequence_breakers != usual.dry_sequence_breakers) {
        out["dry_sequence_breakers"] = list_of(more.dry_sequence_breakers);
    }
    if (!more.samplers.empty()) out["samplers"] = list_of(more.samplers);
    return out;
}

json::object logit_bias_json(const SamplingParams& sampling) {
    json::object out;
    for (const auto& [token, bias] : sampling.logit_bias) {
        out[fmt::format("{}", token)] = bias < static_cast<float>(kNever) ? kNever : as_written(bias);
    }
    return out;
}

}  // namespace sutazai::upstream
