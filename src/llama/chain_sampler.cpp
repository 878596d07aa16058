#include "llama/chain_sampler.h"

#include <llama.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace sutazai::llama {
namespace {

/// Tokens that mirostat looks at to find how steep the distribution is; as llama-server has it.
constexpr int kMirostatTokens = 100;

std::uint32_t seed_of(std::optional<std::uint64_t> seed) {
    if (!seed) return std::random_device{}();
    return static_cast<std::uint32_t>(*seed ^ (*seed >> 32));
}

/// As llama.cpp has its parameters: in one place, by the name of a sampler.
class Maker {
  public:
    Maker(const SamplingParams& params, const llama_vocab* vocab)
        : params_(params), more_(*params.more), vocab_(vocab), seed_(seed_of(params.seed)) {}

    void add_all(llama_sampler* chain) const {
        const auto add = [chain](llama_sampler* one) { llama_sampler_chain_add(chain, one); };
        const int vocabulary = llama_vocab_n_tokens(vocab_);
        if (more_.mirostat != 0) {
            add(llama_sampler_init_temp(params_.temperature));
            add(more_.mirostat == 1 ? llama_sampler_init_mirostat(vocabulary, seed_, more_.mirostat_tau,
                                                                  more_.mirostat_eta, kMirostatTokens)
                                    : llama_sampler_init_mirostat_v2(seed_, more_.mirostat_tau, more_.mirostat_eta));
            return;
        }
        if (more_.samplers.empty()) {
            for (const std::string_view name : kSamplerNames) {
                if (name != "infill") add(make(name));
            }
        }
        for (const std::string& name : more_.samplers) add(make(name));
        add(llama_sampler_init_dist(seed_));
    }

  private:
    [[nodiscard]] llama_sampler* make(std::string_view name) const {
        const auto least = static_cast<std::size_t>(std::max(more_.min_keep, 0));
        if (name == "penalties") {
            return llama_sampler_init_penalties(llama_vocab_n_tokens(vocab_), more_.repeat_last_n,
                                                params_.repeat_penalty, params_.frequency_penalty,
                                                params_.presence_penalty);
        }
        if (name == "dry") return dry();
        if (name == "top_n_sigma") return llama_sampler_init_top_n_sigma(more_.top_n_sigma);
        if (name == "top_k") return llama_sampler_init_top_k(params_.top_k);
        if (name == "typ_p") return llama_sampler_init_typical(more_.typical_p, least);
        if (name == "top_p") return llama_sampler_init_top_p(params_.top_p, least);
        if (name == "min_p") return llama_sampler_init_min_p(params_.min_p, least);
        if (name == "xtc") return llama_sampler_init_xtc(more_.xtc_probability, more_.xtc_threshold, least, seed_);
        if (name == "temperature") {
            return llama_sampler_init_temp_ext(params_.temperature, more_.dynatemp_range, more_.dynatemp_exponent);
        }
        return llama_sampler_init_infill(vocab_);
    }

    [[nodiscard]] llama_sampler* dry() const {
        std::vector<const char*> breakers;
        breakers.reserve(more_.dry_sequence_breakers.size());
        for (const std::string& breaker : more_.dry_sequence_breakers) breakers.push_back(breaker.c_str());
        return llama_sampler_init_dry(vocab_, more_.dry_multiplier, more_.dry_base, more_.dry_allowed_length,
                                      more_.dry_penalty_last_n, breakers.data(), breakers.size());
    }

    const SamplingParams& params_;
    const MoreSampling& more_;
    const llama_vocab* vocab_;
    std::uint32_t seed_;
};

}  // namespace

struct ChainSampler::Candidates {
    std::vector<llama_token_data> all;
};

void ChainSampler::Free::operator()(llama_sampler* sampler) const {
    llama_sampler_free(sampler);
}

ChainSampler::ChainSampler(const SamplingParams& params, const llama_vocab* vocab)
    : biases_(params.logit_bias),
      chain_(llama_sampler_chain_init(llama_sampler_chain_default_params())),
      candidates_(std::make_unique<Candidates>()) {
    Maker(params, vocab).add_all(chain_.get());
}

ChainSampler::~ChainSampler() = default;

sched::Token ChainSampler::sample(std::span<float> logits) {
    add_biases(biases_, logits);
    if (!row_.read(logits)) return kNoToken;
    std::vector<llama_token_data>& all = candidates_->all;
    all.clear();
    for (std::size_t token = 0; token < logits.size(); ++token) {
        if (std::isinf(logits[token])) continue;  // ruled out
        all.push_back({static_cast<llama_token>(token), logits[token], 0});
    }
    llama_token_data_array array{all.data(), all.size(), -1, false};
    llama_sampler_apply(chain_.get(), &array);
    const bool is_drawn = array.selected >= 0 && static_cast<std::size_t>(array.selected) < array.size;
    return is_drawn ? array.data[array.selected].id : row_.most_likely();
}

void ChainSampler::accept(sched::Token token) {
    llama_sampler_accept(chain_.get(), token);
}

}  // namespace sutazai::llama
