#include "base/generation.h"

#include <algorithm>

namespace sutazai {

std::vector<SharedImage> images_of(const Chat& chat) {
    std::vector<SharedImage> images;
    for (const ChatMessage& message : chat.messages) {
        for (const ContentPart& part : message.content) {
            if (part.image != nullptr) images.push_back(part.image);
        }
    }
    return images;
}

bool changes_chain(const SamplingParams& params) {
    if (!params.more) return false;
    const MoreSampling& more = *params.more;
    const bool penalises =
        params.repeat_penalty != 1.0F || params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F;
    return more.top_n_sigma > 0 || more.typical_p < 1 || more.xtc_probability > 0 || more.dynatemp_range > 0 ||
           more.dry_multiplier > 0 || more.mirostat > 0 || more.min_keep > 1 || !more.samplers.empty() ||
           (penalises && more.repeat_last_n != kPenaltyWindowTokens);
}

std::size_t penalty_window(const SamplingParams& params) {
    if (!changes_chain(params)) return kPenaltyWindowTokens;
    return static_cast<std::size_t>(std::max({params.more->repeat_last_n, params.more->dry_penalty_last_n, 0}));
}

std::size_t Delta::text_bytes() const {
    std::size_t bytes = content.size() + reasoning.size();
    for (const ToolCallDelta& call : tool_calls) bytes += call.id.size() + call.name.size() + call.arguments.size();
    return bytes;
}

void Delta::append(Delta more) {
    content += more.content;
    reasoning += more.reasoning;
    for (ToolCallDelta& call : more.tool_calls) {
        const auto known = std::ranges::find(tool_calls, call.index, &ToolCallDelta::index);
        if (known == tool_calls.end()) {
            tool_calls.push_back(std::move(call));
            continue;
        }
        known->id += call.id;
        known->name += call.name;
        known->arguments += call.arguments;
    }
}

}  // namespace sutazai
