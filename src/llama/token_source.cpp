#include "llama/token_source.h"

#include <chrono>

#include "llama/logprobs.h"

namespace sutazai::llama {

namespace {

/// All streams wait for it: a grammar so ambiguous that one token takes this long ends its request.
constexpr std::chrono::seconds kLongestMask{2};

}  // namespace

TokenScore score_of(const Model& model, std::span<const float> logits, Token token, float logit, int n_top) {
    const float normaliser = log_sum_exp(logits);
    TokenScore score;
    score.token = {model.piece(token), logit - normaliser};
    for (const ScoredToken& other : most_likely(logits, static_cast<std::size_t>(n_top), normaliser)) {
        score.top.push_back({model.piece(other.token), other.logprob});
    }
    return score;
}

TokenSource::TokenSource(const Model& model, const GenerationRequest& request, std::unique_ptr<Grammar> grammar)
    : model_(model), sampler_(request.sampling), grammar_(std::move(grammar)), n_top_(request.top_logprobs) {}

Token TokenSource::draw(std::span<float> logits) {
    if (n_top_ < 0 && grammar_ == nullptr) return sampler_.sample(logits);
    std::span<float> changeable = logits;
    if (sampler_.changes_logits()) {
        scratch_.assign(logits.begin(), logits.end());
        changeable = scratch_;
    }
    Token token = sampler_.sample(changeable);
    // Most drawn tokens are allowed; asking about all of them takes a hundred times as long.
    if (grammar_ != nullptr && !grammar_->allows(token)) {
        scratch_.assign(logits.begin(), logits.end());
        const auto began = std::chrono::steady_clock::now();
        grammar_->mask(scratch_);
        if (std::chrono::steady_clock::now() - began > kLongestMask) return kNoToken;
        token = sampler_.sample(scratch_);
        if (!grammar_->allows(token)) return kNoToken;
    }
    if (n_top_ >= 0) drawn_ = score_of(model_, logits, token, logits[static_cast<std::size_t>(token)], n_top_);
    return token;
}

bool TokenSource::accept(Token token) {
    sampler_.accept(token);
    return grammar_ == nullptr || grammar_->accept(token);
}

void TokenSource::made_text(std::size_t n_text_bytes) {
    if (n_top_ < 0) return;
    held_.push_back({std::move(drawn_), n_text_bytes_, n_text_bytes_ + n_text_bytes});
    n_text_bytes_ += n_text_bytes;
}

void TokenSource::release(std::size_t n_bytes, bool last, bool cut, std::vector<TokenScore>& out) {
    while (!held_.empty()) {
        const Held& next = held_.front();
        const bool is_out = cut ? next.begin < n_bytes : last || next.end <= n_bytes;
        if (!is_out) break;
        out.push_back(std::move(held_.front().score));
        held_.pop_front();
    }
}

}  // namespace sutazai::llama
