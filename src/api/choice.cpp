#include "api/choice.h"

#include <algorithm>

namespace sutazai::api {

Usage total_usage(std::span<const Usage> usages, std::size_t per_prompt) {
    Usage total;
    for (std::size_t i = 0; i < usages.size(); i += per_prompt) {
        const auto of_prompt = usages.subspan(i, std::min(per_prompt, usages.size() - i));
        total.prompt_tokens += of_prompt.front().prompt_tokens;
        total.cached_tokens += std::ranges::min(of_prompt, {}, &Usage::cached_tokens).cached_tokens;
        for (const Usage& usage : of_prompt) {
            total.completion_tokens += usage.completion_tokens;
            total.reasoning_tokens += usage.reasoning_tokens;
        }
    }
    return total;
}

Usage total_usage(std::span<const Choice> choices, std::size_t per_prompt) {
    std::vector<Usage> usages;
    usages.reserve(choices.size());
    for (const Choice& choice : choices) usages.push_back(choice.finished.usage);
    return total_usage(usages, per_prompt);
}

double mean_logprob(const Choice& choice) {
    // With echo the prompt's scores come first, and the first of them is none.
    const bool echoed = !choice.scores.empty() && !choice.scores.front().scored;
    const std::size_t begin = echoed ? choice.finished.usage.prompt_tokens : 0;
    double sum = 0;
    for (std::size_t i = begin; i < choice.scores.size(); ++i)
        sum += static_cast<double>(choice.scores[i].token.logprob);
    return choice.scores.size() > begin ? sum / static_cast<double>(choice.scores.size() - begin) : 0;
}

}  // namespace sutazai::api
