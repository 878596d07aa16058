#include "llama/grammar.h"

#include <fmt/format.h>
#include <json-schema-to-grammar.h>
#include <json.h>
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <vector>

namespace sutazai::llama {

namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

Error wrong(std::string message, const char* field) {
    return {ErrorCode::kInvalidArgument, std::move(message), field};
}

/// Null when llama.cpp does not take it; its log says why.
Result<llama_sampler*> compile(const Model& model, const std::string& gbnf, const char* field) {
    if (gbnf.size() > kMaxGrammarBytes) {
        return std::unexpected(wrong(
            fmt::format("{} makes a grammar of {} bytes; at most {} are allowed", field, gbnf.size(), kMaxGrammarBytes),
            field));
    }
    // llama.cpp's parser calls itself for each.
    if (nesting_of(gbnf) > kMaxGrammarDepth) {
        return std::unexpected(
            wrong(fmt::format("{} nests deeper than {} parentheses", field, kMaxGrammarDepth), field));
    }
    if (gbnf.empty()) return std::unexpected(wrong(fmt::format("{} is empty", field), field));
    llama_sampler* sampler = llama_sampler_init_grammar(model.vocab(), gbnf.c_str(), "root");
    if (sampler == nullptr) {
        return std::unexpected(
            wrong(fmt::format(
                      "{} is no grammar that can be used: it does not parse, calls itself first, or repeats too often",
                      field),
                  field));
    }
    return sampler;
}

}  // namespace

int nesting_of(std::string_view gbnf) {
    int depth = 0;
    int deepest = 0;
    for (std::size_t i = 0; i < gbnf.size(); ++i) {
        const char c = gbnf[i];
        if (c == '"' || c == '[') {
            const char end = c == '"' ? '"' : ']';
            for (++i; i < gbnf.size() && gbnf[i] != end; ++i) i += gbnf[i] == '\\' ? 1 : 0;
        } else if (c == '#') {
            i = std::min(gbnf.find('\n', i), gbnf.size());
        } else if (c == '(') {
            deepest = std::max(deepest, ++depth);
        } else if (c == ')') {
            --depth;
        }
    }
    return deepest;
}

Result<std::unique_ptr<Grammar>> Grammar::from_gbnf(const Model& model, const std::string& gbnf) {
    try {
        const auto sampler = compile(model, gbnf, "grammar");
        if (!sampler) return std::unexpected(sampler.error());
        return std::unique_ptr<Grammar>(new Grammar(model.vocab(), *sampler));
    } catch (const std::exception& e) {
        return std::unexpected(wrong(std::string("grammar cannot be used: ") + e.what(), "grammar"));
    }
}

Result<std::unique_ptr<Grammar>> Grammar::from_json_schema(const Model& model, const std::string& schema) {
    constexpr const char* kField = "response_format";
    try {
        const std::string gbnf = json_schema_to_grammar(common_json::parse(schema), true);
        const auto sampler = compile(model, gbnf, kField);
        if (!sampler) return std::unexpected(sampler.error());
        return std::unique_ptr<Grammar>(new Grammar(model.vocab(), *sampler));
    } catch (const std::exception& e) {
        return std::unexpected(wrong(std::string("response_format: the schema cannot be used: ") + e.what(), kField));
    }
}

Grammar::~Grammar() {
    llama_sampler_free(sampler_);
}

/// llama.cpp takes a control token for its name; in the text it would be nothing.
bool Grammar::is_written(Token token) const {
    constexpr int kNamesOnly = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN;
    return (llama_vocab_get_attr(vocabulary_, token) & kNamesOnly) == 0 || llama_vocab_is_eog(vocabulary_, token);
}

bool Grammar::allows(Token token) const {
    if (!is_written(token)) return false;
    llama_token_data one{token, 1.0F, 0.0F};
    llama_token_data_array list{&one, 1, -1, false};
    llama_sampler_apply(sampler_, &list);
    return std::isfinite(one.logit);
}

void Grammar::mask(std::span<float> logits) {
    // Only of what is possible at all is asked whether it is allowed.
    std::vector<llama_token_data> candidates;
    candidates.reserve(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (!is_written(static_cast<Token>(i))) logits[i] = kImpossible;
        if (logits[i] > kImpossible) candidates.push_back({static_cast<Token>(i), logits[i], 0.0F});
    }
    llama_token_data_array list{candidates.data(), candidates.size(), -1, false};
    llama_sampler_apply(sampler_, &list);
    for (std::size_t i = 0; i < list.size; ++i) {
        if (!std::isfinite(list.data[i].logit)) logits[static_cast<std::size_t>(list.data[i].id)] = kImpossible;
    }
}

bool Grammar::accept(Token token) {
    try {
        llama_sampler_accept(sampler_, token);
        return true;
    } catch (const std::exception& e) {
        spdlog::error("a grammar did not take the token that it allowed: {}", e.what());
        return false;
    }
}

}  // namespace sutazai::llama
