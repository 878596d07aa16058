#include "engine/generation.h"

#include <fmt/format.h>

#include <utility>

namespace sutazai::engine {
namespace {

/// Control tokens have no text in the answer; a stop string with the name of one is looked for among what was drawn.
std::vector<std::string> stops_with_hidden_tokens(const Model& model, const std::vector<std::string>& stops) {
    std::vector<std::string> with;
    for (const std::string& stop : stops) {
        if (model.names_hidden_token(stop)) with.push_back(stop);
    }
    return with;
}

}  // namespace

Generation::Generation(const Model& model, const Prepared& prepared, RequestId answer,
                       std::unique_ptr<llama::Grammar> grammar)
    : model_(model),
      id_(answer),
      source_(model, prepared.request, std::move(grammar)),
      stops_(prepared.request.stop, stops_with_hidden_tokens(model, prepared.request.stop)),
      // Where the grammar lets the text end, it may leave nothing else.
      ignore_eos_(prepared.request.ignore_eos && source_.grammar() == nullptr),
      lines_(prepared.request.least_indent, prepared.request.most_time),
      returns_tokens_(prepared.request.returns_tokens),
      input_field_(prepared.input_field),
      salt_(prepared.request.cache_salt),
      adapters_(prepared.adapters),
      submitted_(prepared.submitted) {}

Result<void> Generation::accept(Token token) {
    if (token < 0 || !source_.accept(token)) {
        const char* field = source_.grammar()->field();
        const std::string why = token == llama::TokenSource::kTooDear
                                    ? fmt::format(
                                          "is too ambiguous: to tell what may come next takes more than {} looks at "
                                          "a state",
                                          llama::kWorkPerToken)
                                    : "lets nothing come next that this model can write";
        return fail(ErrorCode::kInvalidArgument, fmt::format("{} {}", field, why), field);
    }
    ++n_tokens_;
    if (!first_token_) first_token_ = std::chrono::steady_clock::now();
    return {};
}

std::optional<FinishReason> Generation::write(Token token, GenerationUpdate& update) {
    std::string piece;
    model_.append_piece(token, piece);
    if (piece.empty() && stops_.push_hidden(model_.piece(token), update.delta.content)) return FinishReason::kStop;
    if (!ignore_eos_ && model_.ends_generation(token)) return FinishReason::kStop;
    std::string text;
    characters_.append(piece, text);
    source_.made_text(text.size());
    if (!lines_.limits()) return push(text, update);
    const auto elapsed = std::chrono::steady_clock::now() - first_token();
    const auto verdict = lines_.push(text, std::chrono::duration_cast<std::chrono::milliseconds>(elapsed));
    const auto stopped = push(std::string_view(text).substr(0, verdict.n_bytes), update);
    return !stopped && verdict.ends ? FinishReason::kLength : stopped;
}

std::optional<FinishReason> Generation::push(std::string_view text, GenerationUpdate& update) {
    if (!stops_.push(text, update.delta.content)) return std::nullopt;
    return FinishReason::kStop;
}

void Generation::release(GenerationUpdate& update) {
    n_bytes_out_ += update.delta.content.size();
    source_.release(n_bytes_out_, false, false, update.scores);
}

void Generation::release_rest(FinishReason reason, GenerationUpdate& update) {
    if (!stops_.matched()) {
        std::string tail;
        if (reason != FinishReason::kLength) characters_.finish(tail);
        if (!stops_.push(tail, update.delta.content)) stops_.finish(update.delta.content);
    }
    n_bytes_out_ += update.delta.content.size();
    source_.release(n_bytes_out_, true, stops_.matched(), update.scores);
}

}  // namespace sutazai::engine
