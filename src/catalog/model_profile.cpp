#include "catalog/model_profile.h"

#include "base/digest.h"

namespace sutazai::catalog {
namespace {

template <typename T>
void take(std::optional<T>& into, const std::optional<T>& from) {
    if (!into) into = from;
}

template <typename T>
void take(T& into, const T& from) {
    if (into == T{}) into = from;
}

void take(LoadChoices& into, const LoadChoices& from) {
    take(into.context_tokens, from.context_tokens);
    take(into.least_context_tokens, from.least_context_tokens);
    take(into.kv_type, from.kv_type);
    take(into.chat_template, from.chat_template);
    take(into.fallback_template, from.fallback_template);
    take(into.projector, from.projector);
    // One answer to one question: what is not looked at makes no other engine.
    if (into.context_tokens != 0) into.least_context_tokens = 0;
    if (!into.chat_template.empty()) into.fallback_template.clear();
}

void take(RequestDefaults& into, const RequestDefaults& from) {
    take(into.temperature, from.temperature);
    take(into.top_p, from.top_p);
    take(into.min_p, from.min_p);
    take(into.repeat_penalty, from.repeat_penalty);
    take(into.presence_penalty, from.presence_penalty);
    take(into.frequency_penalty, from.frequency_penalty);
    take(into.top_k, from.top_k);
    take(into.max_tokens, from.max_tokens);
    take(into.seed, from.seed);
    take(into.stop, from.stop);
    take(into.system, from.system);
    take(into.messages, from.messages);
    take(into.adapters, from.adapters);
}

}  // namespace

ModelProfile merged(const ModelProfile& strong, const ModelProfile& weak) {
    ModelProfile out = strong;
    take(out.load, weak.load);
    take(out.request, weak.request);
    take(out.pinned, weak.pinned);
    take(out.keep_alive, weak.keep_alive);
    if (strong.request.adapters.empty()) out.adapter_bytes = weak.adapter_bytes;
    out.facts = weak.facts;
    out.load_hint = weak.load_hint;
    return out;
}

std::string engine_key(std::string_view weights, const LoadChoices& load) {
    std::string key(weights);
    if (load == LoadChoices{}) return key;
    Sha256 sum;
    const auto add = [&sum](std::string_view text) {
        sum.add_u64(text.size());
        sum.add(text);
    };
    sum.add_u32(load.context_tokens);
    sum.add_u32(load.least_context_tokens);
    add(load.kv_type);
    add(load.chat_template);
    add(load.fallback_template);
    if (!load.projector.empty()) add(load.projector);  // keys without one are as they were
    const Digest digest = sum.finish();
    key += '#';
    key += to_hex(Bytes(digest).first(8));
    return key;
}

}  // namespace sutazai::catalog
