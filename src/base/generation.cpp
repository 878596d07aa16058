#include "base/generation.h"

#include <algorithm>

namespace sutazai {

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
