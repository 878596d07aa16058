#include "llama/token_source.h"

#include "llama/logprobs.h"

namespace sutazai::llama {

TokenScore score_of(const LanguageModel& model, LogitRow& row, Token token, int n_top) {
    const float normaliser = log_sum_exp(row);
    TokenScore score;
    score.token = {model.piece(token), row.logits()[static_cast<std::size_t>(token)] - normaliser};
    std::vector<Candidate> top;
    row.select_top(static_cast<std::size_t>(n_top), top);
    for (const Candidate& other : top) score.top.push_back({model.piece(other.token), other.logit - normaliser});
    return score;
}

TokenSource::TokenSource(const LanguageModel& model, const GenerationRequest& request, std::unique_ptr<Grammar> grammar)
    : model_(model),
      sampler_(model.sampler(request.sampling)),
      grammar_(std::move(grammar)),
      n_top_(request.top_logprobs) {}

Token TokenSource::draw(std::span<float> logits, grammar::Work& work) {
    const auto sampled = [this](std::span<float> row) {
        const Token token = sampler_->sample(row);
        return token == Sampler::kNoToken ? kNoNumbers : token;
    };
    if (!forced_.empty()) {
        if (n_top_ < 0) return forced_.front();
        if (!raw_.read(logits)) return kNoNumbers;
        drawn_ = score_of(model_, raw_, forced_.front(), n_top_);
        return forced_.front();
    }
    if (n_top_ < 0 && grammar_ == nullptr) return sampled(logits);
    if (!first_) {
        std::span<float> changeable = logits;
        if (sampler_->changes_logits()) {
            scratch_.assign(logits.begin(), logits.end());
            changeable = scratch_;
        }
        const Token token = sampled(changeable);
        if (token == kNoNumbers) return token;
        first_ = token;
    }
    Token token = *first_;
    if (grammar_ != nullptr) {
        // Most drawn tokens are allowed; asking about all of them takes a hundred times as long.
        const Grammar::Answer answer = grammar_->allows(token, work);
        if (answer == Grammar::Answer::kTooDear) return kTooDear;
        if (answer == Grammar::Answer::kNo) {
            scratch_.assign(logits.begin(), logits.end());
            if (!grammar_->mask(scratch_, work)) return kTooDear;
            token = sampler_->sample(scratch_);
            if (token == Sampler::kNoToken) return kNoToken;
        }
    }
    first_.reset();
    if (n_top_ >= 0) {
        if (!raw_.read(logits)) return kNoNumbers;
        drawn_ = score_of(model_, raw_, token, n_top_);
    }
    return token;
}

bool TokenSource::accept(Token token) {
    sampler_->accept(token);
    if (!forced_.empty()) forced_.pop_front();
    grammar::Work work{kWorkPerToken};  // the steps are known since draw()
    return grammar_ == nullptr || grammar_->accept(token, work) == Grammar::Answer::kYes;
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
