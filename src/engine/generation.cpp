#include "engine/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string_view>
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

/// Letters and digits, nine of them: what every template takes.
std::string new_call_id() {
    thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()};
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    std::string id;
    for (int i = 0; i < 9; ++i) id += kLetters[random() % kLetters.size()];
    return id;
}

/// The grammar waits for something in the text.
bool waits(const Prepared& prepared) {
    if (prepared.form == nullptr) return false;
    return prepared.request.grammar_is_of_tools ? !prepared.form->triggers().empty()
                                                : prepared.form->marks().begins_thinking;
}

/// Of an answer, from its beginning; null: there is none.
std::unique_ptr<llama::Grammar> first_grammar(const Model& model, const Prepared& prepared) {
    if (prepared.grammar == nullptr || waits(prepared)) return nullptr;
    auto grammar = std::make_unique<llama::Grammar>(model, prepared.grammar);
    if (!prepared.request.grammar_is_of_tools || prepared.form->beginning().empty()) return grammar;
    if (grammar->accept_text(prepared.form->beginning())) return grammar;
    // Those of templates that write no more than the role begin behind it.
    return std::make_unique<llama::Grammar>(model, prepared.grammar);
}

}  // namespace

Generation::Generation(const Model& model, const Prepared& prepared, RequestId answer)
    : model_(model),
      id_(answer),
      source_(model, prepared.request, first_grammar(model, prepared)),
      stops_(prepared.request.stop, stops_with_hidden_tokens(model, prepared.request.stop)),
      // Where the grammar lets the text end, it may leave nothing else.
      ignore_eos_(prepared.request.ignore_eos && prepared.grammar == nullptr),
      lines_(prepared.request.least_indent, prepared.request.most_time),
      returns_tokens_(prepared.request.returns_tokens),
      input_field_(prepared.input_field),
      salt_(prepared.request.cache_salt),
      adapters_(prepared.adapters),
      images_(prepared.images),
      submitted_(prepared.submitted),
      fetched_tokens_(prepared.fetched_tokens),
      form_(prepared.form),
      most_thoughts_(prepared.most_thoughts),
      thoughts_end_(prepared.thoughts_end) {
    if (form_ == nullptr) return;
    parser_.emplace(form_, new_call_id);
    if (waits(prepared)) grammar_ = prepared.grammar;
    end_thoughts();
}

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
    std::string out;
    if (piece.empty() && is_shown(token)) piece = model_.piece(token);
    std::optional<FinishReason> end;
    const bool is_stop = piece.empty() && stops_.push_hidden(model_.piece(token), out);
    if (is_stop || (!ignore_eos_ && model_.ends_generation(token))) {
        end = FinishReason::kStop;
    } else {
        end = push(piece, out);
    }
    tell(out, update);
    return end;
}

/// Appends to `out` what of the token's bytes may go out.
std::optional<FinishReason> Generation::push(std::string_view piece, std::string& out) {
    std::string text;
    characters_.append(piece, text);
    source_.made_text(text.size());
    const auto stops = [&](std::string_view part) {
        return stops_.push(part, out) ? std::optional(FinishReason::kStop) : std::nullopt;
    };
    if (!lines_.limits()) return stops(text);
    const auto elapsed = std::chrono::steady_clock::now() - first_token();
    const auto verdict = lines_.push(text, std::chrono::duration_cast<std::chrono::milliseconds>(elapsed));
    const auto stopped = stops(std::string_view(text).substr(0, verdict.n_bytes));
    return !stopped && verdict.ends ? FinishReason::kLength : stopped;
}

/// Names of control tokens are a part of some templates' answers, and of no text.
bool Generation::is_shown(Token token) const {
    if (form_ == nullptr) return false;
    const auto& names = form_->marks_by_name();
    return !names.empty() && std::ranges::find(names, model_.piece(token)) != names.end();
}

/// The text is out of the stop strings' hands.
void Generation::tell(std::string_view text, GenerationUpdate& update) {
    n_bytes_out_ += text.size();
    if (!parser_) {
        update.delta.content += text;
        return;
    }
    if (parser_->thinks()) ++n_thoughts_;
    if (text.empty()) return;
    parser_->push(text, update.delta);
    if (grammar_ != nullptr) look_for_call();
    end_thoughts();
}

/// From its first byte on a call keeps to the grammar; what another grammar is about begins behind the thoughts.
void Generation::look_for_call() {
    if (parser_->thinks()) return;
    std::size_t begin = parser_->thoughts_end();
    const std::string& text = parser_->text();
    if (!form_->triggers().empty()) {
        const std::size_t from = std::max(looked_for_call_, begin);
        begin = std::string::npos;
        std::size_t longest = 1;
        for (const std::string& trigger : form_->triggers()) {
            begin = std::min(begin, text.find(trigger, from));
            longest = std::max(longest, trigger.size());
        }
        looked_for_call_ = text.size() - std::min(text.size(), longest - 1);
        if (begin == std::string::npos) return;
    }
    auto grammar = std::make_unique<llama::Grammar>(model_, std::exchange(grammar_, nullptr));
    const std::size_t spaces = text.find_first_not_of(" \n\r\t", begin);
    const bool is_call = !form_->triggers().empty();
    const std::string_view begun = is_call                       ? std::string_view(text).substr(begin)
                                   : spaces == std::string::npos ? std::string_view()
                                                                 : std::string_view(text).substr(spaces);
    // What has begun otherwise is no call, and no concern of the grammar's.
    if (begun.empty() || grammar->accept_text(begun)) source_.set_grammar(std::move(grammar));
}

/// The budget is spent: the text that ends the thoughts comes next.
void Generation::end_thoughts() {
    if (thoughts_end_.empty() || !parser_->thinks() || std::cmp_less(n_thoughts_, most_thoughts_)) return;
    source_.force(std::exchange(thoughts_end_, {}));
}

FinishReason Generation::reason(FinishReason reason) const {
    const bool calls = parser_ && parser_->has_calls() && reason == FinishReason::kStop && !stops_.matched();
    return calls ? FinishReason::kToolCalls : reason;
}

void Generation::release(GenerationUpdate& update) {
    source_.release(n_bytes_out_, false, false, update.scores);
}

void Generation::release_rest(FinishReason reason, GenerationUpdate& update) {
    std::string rest;
    if (!stops_.matched()) {
        std::string tail;
        if (reason != FinishReason::kLength) characters_.finish(tail);
        if (!stops_.push(tail, rest)) stops_.finish(rest);
    }
    n_bytes_out_ += rest.size();
    if (parser_) {
        if (!rest.empty()) parser_->push(rest, update.delta);
        parser_->finish(reason == FinishReason::kStop && !stops_.matched(), update.delta);
    } else {
        update.delta.content += rest;
    }
    source_.release(n_bytes_out_, true, stops_.matched(), update.scores);
}

}  // namespace sutazai::engine
