#include "llama/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <limits>
#include <utility>

#include "grammar/gbnf.h"
#include "grammar/json_schema.h"

namespace sutazai::llama {

namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();
/// For a byte of GBNF.
constexpr std::int64_t kWorkPerByte = 2;

Result<grammar::Rules> read(const LanguageModel& model, const GrammarSource& source, grammar::Work& work) {
    if (!source.is_schema) {
        if (!work.take(kWorkPerByte * std::ssize(source.text))) return fail(ErrorCode::kCancelled, "takes too long");
        return grammar::read_gbnf(source.text, [&](std::string_view name) { return model.token_named(name); });
    }
    boost::json::error_code error;
    const boost::json::value schema = boost::json::parse(source.text, error);
    if (error) return fail(ErrorCode::kInvalidArgument, "holds a schema that is no JSON");
    return grammar::read_json_schema(schema, work);
}

}  // namespace

std::optional<GrammarSource> GrammarSource::of(const GenerationRequest& request) {
    if (!request.grammar.empty()) return GrammarSource{false, request.grammar, request.grammar_is_of_tools};
    if (!request.json_schema.empty()) return GrammarSource{true, request.json_schema};
    return std::nullopt;
}

Result<std::shared_ptr<const CompiledGrammar>> compile(const LanguageModel& model, const GrammarSource& source,
                                                       grammar::Work& work) {
    const char* field = source.field();
    const auto refuse = [&](const Error& error) {
        return fail(error.code, fmt::format("{} {}", field, error.message), field);
    };
    const Result<grammar::Rules> rules = read(model, source, work);
    if (!rules) return refuse(rules.error());
    Result<grammar::Automaton> made = grammar::Automaton::of(*rules, work);
    if (!made) return refuse(made.error());
    const auto automaton = std::make_shared<const grammar::Automaton>(std::move(*made));
    // How long the first character takes is known here, and not where streams wait for it.
    grammar::Work start{std::min(kWorkPerToken, work.left), work.cancelled};
    const std::int64_t most = start.left;
    if (grammar::Matcher(automaton).start(start) < 0) {
        if (!work.take(most + 1)) return refuse({ErrorCode::kCancelled, "takes too long"});
        return refuse(
            {ErrorCode::kInvalidArgument,
             fmt::format("is too ambiguous: its first character takes more than {} looks at a state", kWorkPerToken)});
    }
    const std::int64_t start_work = most - start.left;
    work.take(start_work);
    const grammar::TokenTrie& texts = source.is_of_tools ? model.form_texts() : model.texts();
    return std::make_shared<const CompiledGrammar>(automaton, texts, field, start_work);
}

Grammar::Grammar(const LanguageModel& model, std::shared_ptr<const CompiledGrammar> compiled)
    : model_(model), compiled_(std::move(compiled)), constraint_(compiled_->automaton, compiled_->texts) {}

/// Where `work` is too little for it, nothing is done. It has a budget of its own, so that what is left for a text's
/// first token is what is left for any other.
bool Grammar::begin(const grammar::Work& work) {
    if (has_begun_ || work.left < compiled_->start_work) return has_begun_;
    grammar::Work own{kWorkPerToken, work.cancelled};
    return has_begun_ = constraint_.start(own);
}

Grammar::Answer Grammar::allows(Token token, grammar::Work& work) {
    if (!begin(work)) return Answer::kTooDear;
    if (constraint_.may_end() && model_.ends_generation(token)) return Answer::kYes;
    return constraint_.allows(token, work);
}

bool Grammar::mask(std::span<float> logits, grammar::Work& work) {
    if (!begin(work)) return false;
    const std::vector<bool>* allowed = constraint_.allowed(work);
    if (allowed == nullptr) return false;
    const bool may_end = constraint_.may_end();
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if ((*allowed)[i]) continue;
        if (!may_end || !model_.ends_generation(static_cast<Token>(i))) logits[i] = kImpossible;
    }
    return true;
}

bool Grammar::accept_text(std::string_view text) {
    grammar::Work work{kWorkPerToken};
    return begin(work) && constraint_.accept_text(text, work) == Answer::kYes;
}

Grammar::Answer Grammar::accept(Token token, grammar::Work& work) {
    if (!begin(work)) return Answer::kTooDear;
    const Answer answer = constraint_.accept(token, work);
    const bool ends = constraint_.may_end() && model_.ends_generation(token);
    return answer == Answer::kNo && ends ? Answer::kYes : answer;
}

}  // namespace sutazai::llama
