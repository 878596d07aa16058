#include "engine/prepared.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/utf8_stream.h"
#include "engine/reading.h"
#include "engine/shortened_chat.h"

namespace sutazai::engine {

std::vector<RequestId> Prepared::wanted() const {
    std::vector<RequestId> ids;
    for (RequestId answer = id; answer < id + static_cast<RequestId>(request.n); ++answer) {
        if (!cancelled.contains(answer)) ids.push_back(answer);
    }
    return ids;
}

std::string text_of(const Model& model, std::span<const Token> tokens) {
    std::string bytes;
    for (const Token token : tokens) {
        if (token >= 0) bytes += model.piece(token);  // images have no text
    }
    std::string text;
    Utf8Stream characters;
    characters.append(bytes, text);
    characters.finish(text);
    return text;
}

namespace {

Result<std::vector<Token>> tokens_of(Prepared& prepared, const Model& model, std::size_t most_tokens,
                                     const llama::CancelCheck& cancelled) {
    GenerationRequest& request = prepared.request;
    const auto* chat = std::get_if<Chat>(&request.prompt);
    if (!request.truncate || chat == nullptr || request.task != Task::kGenerate) {
        return model.tokenize(request, most_tokens, cancelled, &prepared.images);
    }
    const Chat whole = *chat;
    return read_shortened(whole, [&](const Chat& part) {
        request.prompt = part;
        return model.tokenize(request, most_tokens, cancelled, &prepared.images);
    });
}

Result<void> open_adapters(Prepared& prepared, const Model& model, bool scored) {
    GenerationRequest& request = prepared.request;
    if (request.adapters.empty()) return {};
    if (request.task != Task::kGenerate || scored) {
        return fail(ErrorCode::kInvalidArgument,
                    request.task != Task::kGenerate
                        ? "embeddings with adapters are not built; ask for the model that has none"
                        : "scores of a prompt with adapters are not built; \"adapters\": [] asks for none",
                    "adapters");
    }
    auto set = model.open_adapters(request.adapters);
    if (!set) return std::unexpected(std::move(set.error()));
    if ((*set)->key.empty()) return {};
    // What was computed with other adapters is another text's, in the KV memory, host memory and on disk.
    request.cache_salt += '\0';
    request.cache_salt += "adapters " + (*set)->key;
    prepared.adapters = std::move(*set);
    return {};
}

/// How a chat's answer is to be read, and what its calls must look like.
Result<void> find_form(Prepared& prepared, const Model& model) {
    GenerationRequest& request = prepared.request;
    const auto* chat = std::get_if<Chat>(&request.prompt);
    if (chat == nullptr || request.task == Task::kEmbed) return {};
    auto form = model.chat_form(request);
    if (!form) return std::unexpected(std::move(form.error()));
    if (*form == nullptr) return {};
    prepared.form = std::move(*form);
    for (const std::string& stop : prepared.form->stops()) request.stop.push_back(stop);
    const auto& ends = prepared.form->marks().thoughts_end;
    if (chat->reasoning.budget_tokens >= 0 && !ends.empty()) {
        prepared.most_thoughts = chat->reasoning.budget_tokens;
        prepared.thoughts_end = model.tokens_of_text(ends.front());
    }
    if (prepared.form->grammar().empty()) return {};
    if (!request.grammar.empty() || !request.json_schema.empty()) {
        const char* field = request.grammar.empty() ? "response_format" : "grammar";
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} does not go with tools, unless tool_choice is \"none\"", field), field);
    }
    request.grammar = prepared.form->grammar();
    request.grammar_is_of_tools = true;
    return {};
}

}  // namespace

std::span<const Token> before_images(std::span<const Token> tokens) {
    const auto image = std::ranges::find_if(tokens, [](Token token) { return token < 0; });
    return tokens.first(static_cast<std::size_t>(image - tokens.begin()));
}

Result<void> prepare(Prepared& prepared, const Model& model, ArtifactKeeper* keeper,
                     const llama::CancelCheck& cancelled) {
    GenerationRequest& request = prepared.request;
    if (request.task == Task::kRead) {
        auto reading = read_prompt(request, model, cancelled);
        if (!reading) return std::unexpected(std::move(reading.error()));
        prepared.reading = std::move(*reading);
        return {};
    }
    const Model::Properties& p = model.properties();
    const bool embeds = request.task == Task::kEmbed || request.task == Task::kRank;
    if (!embeds && !p.generates) {
        return fail(ErrorCode::kInvalidArgument, "this model writes no text; it makes embeddings (/v1/embeddings)",
                    "model");
    }
    if (embeds && (request.task == Task::kRank) != (p.pooling == llama::Pooling::kRank)) {
        return fail(ErrorCode::kInvalidArgument,
                    request.task == Task::kRank ? "this model ranks no texts"
                                                : "this model ranks texts (/v1/rerank); it makes no embeddings",
                    "model");
    }
    const bool scored = request.echo && request.top_logprobs >= 0;
    if (auto opened = open_adapters(prepared, model, scored); !opened) return opened;
    if (std::holds_alternative<Chat>(request.prompt)) prepared.input_field = "messages";
    for (const LogitBias& bias : request.sampling.logit_bias) {
        if (bias.token >= 0 && bias.token < p.vocabulary) continue;
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} is no token of this model, which has {}", bias.token, p.vocabulary), "logit_bias");
    }
    if (auto found = find_form(prepared, model); !found) return found;
    const int answer = embeds || request.max_tokens == 0 ? 0 : 1;
    Result<std::vector<Token>> tokens =
        tokens_of(prepared, model, static_cast<std::size_t>(p.context_per_sequence - answer), cancelled);
    if (!tokens && tokens.error().code == ErrorCode::kContextOverflow) {
        tokens.error().message += fmt::format("; this model's context holds {}", p.context_per_sequence);
        if (answer > 0) tokens.error().message += ", of which at least one must be left for the answer";
    }
    if (!tokens) return std::unexpected(std::move(tokens.error()));
    prepared.prompt = std::move(*tokens);
    if (!prepared.images.empty() && (scored || prepared.adapters != nullptr)) {
        return fail(ErrorCode::kInvalidArgument,
                    scored ? "scores of a prompt with images are not built" : "images with adapters are not built",
                    "messages");
    }
    if (keeper != nullptr && answer > 0 && !scored) {
        prepared.on_disk = keeper->find(request.cache_salt, before_images(prepared.prompt));
    }
    if (request.echo) {
        auto* text = std::get_if<std::string>(&request.prompt);
        prepared.echo = text != nullptr ? std::move(*text) : text_of(model, prepared.prompt);
    }
    request.prompt = std::string();  // no longer needed
    return {};
}

void HeldRequests::add(Prepared prepared) {
    const RequestId id = prepared.id;
    requests_.emplace(id, std::move(prepared));
}

std::optional<Prepared> HeldRequests::take(RequestId id) {
    auto found = requests_.extract(id);
    if (!found) return std::nullopt;
    return std::move(found.mapped());
}

std::vector<Prepared> HeldRequests::take_late(const QueueTimeout& timeout) {
    std::vector<Prepared> late;
    for (auto next = requests_.begin(); next != requests_.end();) {
        const auto request = next++;
        if (timeout.is_over(request->second.submitted)) late.push_back(std::move(requests_.extract(request).mapped()));
    }
    return late;
}

std::optional<RequestId> HeldRequests::cancel(RequestId answer) {
    const auto found = request_of(requests_, answer, [](const Prepared& prepared) { return prepared.request.n; });
    if (found == requests_.end()) return std::nullopt;
    found->second.cancelled.insert(answer);
    if (!found->second.wanted().empty()) return std::nullopt;
    const RequestId id = found->first;
    requests_.erase(found);
    return id;
}

int HeldRequests::answers() const {
    int n = 0;
    for (const auto& [id, prepared] : requests_) n += static_cast<int>(prepared.wanted().size());
    return n;
}

}  // namespace sutazai::engine
