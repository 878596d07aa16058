#include "serve/model_defaults.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <variant>

namespace sutazai::serve {
namespace {

template <typename T, typename Default>
void apply(bool& given, const std::optional<Default>& value, T& out) {
    if (given || !value) return;
    out = *value;
    given = true;
}

bool is_system(const ChatMessage& message) {
    return message.role == Role::kSystem || message.role == Role::kDeveloper;
}

/// `goes_on`: there is an earlier part of the conversation, which has the messages that begin each.
void apply_to_chat(const catalog::RequestDefaults& defaults, Chat& chat, bool goes_on) {
    const bool has_system = std::ranges::any_of(chat.messages, is_system);
    std::vector<ChatMessage> first;
    if (!has_system && defaults.system && !defaults.system->empty()) {
        first.push_back(text_message(Role::kSystem, *defaults.system));
    }
    for (const ChatMessage& message : defaults.messages) {
        // One system message is enough, and the request's own counts.
        if (!goes_on && (!is_system(message) || (!has_system && first.empty()))) first.push_back(message);
    }
    chat.messages.insert(chat.messages.begin(), first.begin(), first.end());
}

}  // namespace

void apply_defaults(const catalog::ModelProfile& profile, GenerationRequest& request) {
    if (request.task != Task::kGenerate && request.task != Task::kRead) return;
    const catalog::RequestDefaults& defaults = profile.request;
    GivenFields& given = request.given;
    SamplingParams& sampling = request.sampling;
    apply(given.temperature, defaults.temperature, sampling.temperature);
    apply(given.top_k, defaults.top_k, sampling.top_k);
    apply(given.top_p, defaults.top_p, sampling.top_p);
    apply(given.min_p, defaults.min_p, sampling.min_p);
    apply(given.repeat_penalty, defaults.repeat_penalty, sampling.repeat_penalty);
    apply(given.presence_penalty, defaults.presence_penalty, sampling.presence_penalty);
    apply(given.frequency_penalty, defaults.frequency_penalty, sampling.frequency_penalty);
    if (!given.seed && defaults.seed) sampling.seed = defaults.seed;
    apply(given.max_tokens, defaults.max_tokens, request.max_tokens);
    apply(given.stop, defaults.stop, request.stop);
    if (auto* chat = std::get_if<Chat>(&request.prompt)) apply_to_chat(defaults, *chat, !request.context.empty());
}

Result<void> choose_adapters(const catalog::ModelProfile& profile, GenerationRequest& request) {
    const std::vector<AdapterChoice>& there = profile.request.adapters;
    if (!request.given.adapters) {
        request.adapters.clear();
        std::ranges::copy_if(there, std::back_inserter(request.adapters),
                             [](const AdapterChoice& adapter) { return adapter.scale != 0; });
        return {};
    }
    for (AdapterChoice& wanted : request.adapters) {
        if (std::ranges::count(request.adapters, wanted.name, &AdapterChoice::name) > 1) {
            return fail(ErrorCode::kInvalidArgument, fmt::format("adapters names \"{}\" twice", wanted.name),
                        "adapters");
        }
        const auto found = std::ranges::find(there, wanted.name, &AdapterChoice::name);
        if (found != there.end()) {
            wanted.path = found->path;
            continue;
        }
        std::string known;
        for (const AdapterChoice& one : there) known += (known.empty() ? "" : ", ") + one.name;
        return fail(ErrorCode::kInvalidArgument,
                    known.empty() ? fmt::format("adapters names \"{}\", and this model has none; models.toml may give "
                                                "it some",
                                                wanted.name)
                                  : fmt::format("adapters names \"{}\", which this model has not; there are {}",
                                                wanted.name, known),
                    "adapters");
    }
    return {};
}

}  // namespace sutazai::serve
