#include "llama/grammar.h"

#include <fmt/format.h>
#include <llama.h>

#include <array>
#include <boost/json/parse.hpp>
#include <limits>

#include "grammar/gbnf.h"
#include "grammar/json_schema.h"

namespace sutazai::llama {

namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

std::unexpected<Error> refuse(const std::string& what, const char* field) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} {}", field, what), field);
}

/// The one token that a name such as "<|im_end|>" is.
std::optional<std::int32_t> token_named(const llama_vocab* vocab, std::string_view name) {
    std::array<llama_token, 2> tokens{};
    const int n = llama_tokenize(vocab, name.data(), static_cast<int>(name.size()), tokens.data(), 2, false, true);
    if (n != 1) return std::nullopt;
    return tokens[0];
}

}  // namespace

Grammar::Grammar(const Model& model, std::shared_ptr<const grammar::Automaton> automaton, const char* field)
    : model_(model), automaton_(std::move(automaton)), field_(field), constraint_(automaton_, model.texts()) {}

Result<std::unique_ptr<Grammar>> Grammar::compile(const Model& model, const grammar::Rules& rules, const char* field) {
    Result<grammar::Automaton> automaton = grammar::Automaton::of(rules);
    if (!automaton) return refuse(automaton.error().message, field);
    auto shared = std::make_shared<const grammar::Automaton>(std::move(*automaton));
    std::unique_ptr<Grammar> grammar(new Grammar(model, std::move(shared), field));
    grammar::Work work{kWorkPerToken};
    if (!grammar->constraint_.start(work)) return refuse("is too ambiguous: its first character takes too long", field);
    return grammar;
}

std::unique_ptr<Grammar> Grammar::clone() const {
    std::unique_ptr<Grammar> grammar(new Grammar(model_, automaton_, field_));
    grammar::Work work{kWorkPerToken};
    (void)grammar->constraint_.start(work);  // as much as was enough for this one
    return grammar;
}

Result<std::unique_ptr<Grammar>> Grammar::from_gbnf(const Model& model, const std::string& gbnf) {
    constexpr const char* kField = "grammar";
    if (gbnf.size() > kMaxGrammarBytes) {
        return refuse(fmt::format("has {} bytes; at most {} are allowed", gbnf.size(), kMaxGrammarBytes), kField);
    }
    const auto rules =
        grammar::read_gbnf(gbnf, [&](std::string_view name) { return token_named(model.vocab(), name); });
    if (!rules) return refuse(rules.error().message, kField);
    return compile(model, *rules, kField);
}

Result<std::unique_ptr<Grammar>> Grammar::from_json_schema(const Model& model, const std::string& schema) {
    constexpr const char* kField = "response_format";
    boost::json::error_code error;
    const boost::json::value read = boost::json::parse(schema, error);
    if (error) return refuse("holds a schema that is no JSON", kField);
    const auto rules = grammar::read_json_schema(read);
    if (!rules) return refuse(rules.error().message, kField);
    return compile(model, *rules, kField);
}

Grammar::Answer Grammar::allows(Token token, grammar::Work& work) {
    if (constraint_.may_end() && model_.ends_generation(token)) return Answer::kYes;
    return constraint_.allows(token, work);
}

bool Grammar::mask(std::span<float> logits, grammar::Work& work) {
    const std::vector<bool>* allowed = constraint_.allowed(work);
    if (allowed == nullptr) return false;
    const bool may_end = constraint_.may_end();
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if ((*allowed)[i]) continue;
        if (!may_end || !model_.ends_generation(static_cast<Token>(i))) logits[i] = kImpossible;
    }
    return true;
}

Grammar::Answer Grammar::accept(Token token, grammar::Work& work) {
    const Answer answer = constraint_.accept(token, work);
    const bool ends = constraint_.may_end() && model_.ends_generation(token);
    return answer == Answer::kNo && ends ? Answer::kYes : answer;
}

}  // namespace sutazai::llama
