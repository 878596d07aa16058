#include "report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sutazai::loadgen {
namespace {

double milliseconds(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

/// Microseconds are as fine as the clock is worth.
double rounded(double value) {
    return std::round(value * 1000.0) / 1000.0;
}

boost::json::object percentiles(std::vector<double> samples) {
    if (samples.empty()) return {};
    std::ranges::sort(samples);
    const auto rank = [&](double share) {
        const auto n = static_cast<double>(samples.size());
        return rounded(samples[static_cast<std::size_t>(std::max(0.0, std::ceil(share * n) - 1))]);
    };
    const double mean = std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
    return {{"p50", rank(0.50)}, {"p95", rank(0.95)}, {"p99", rank(0.99)}, {"max", rank(1.0)}, {"mean", rounded(mean)}};
}

boost::json::object describe(const Request& request, const Outcome& outcome, Clock::time_point begun) {
    boost::json::array text_at;
    for (const auto time : outcome.answer.text_at) text_at.push_back(rounded(milliseconds(time - begun)));
    boost::json::object each{{"sent_ms", rounded(milliseconds(outcome.sent - begun))},
                             {"done_ms", rounded(milliseconds(outcome.done - begun))},
                             {"status", outcome.status},
                             {"prompt_tokens", outcome.answer.prompt_tokens},
                             {"completion_tokens", outcome.answer.completion_tokens},
                             {"cached_tokens", outcome.answer.cached_tokens},
                             {"text_ms", std::move(text_at)}};
    if (!request.label.empty()) each["label"] = request.label;
    if (!outcome.answer.error.empty()) each["error"] = outcome.answer.error;
    return each;
}

}  // namespace

boost::json::object report(const std::vector<Request>& requests, const Run& run) {
    std::vector<double> first;
    std::vector<double> gaps;
    std::vector<double> whole;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::int64_t cached_tokens = 0;
    std::int64_t events = 0;
    std::int64_t failed = 0;
    boost::json::array each;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const Outcome& outcome = run.outcomes[i];
        each.push_back(describe(requests[i], outcome, run.begun));
        const Answer& answer = outcome.answer;
        if (!answer.error.empty()) {
            ++failed;
            continue;
        }
        whole.push_back(milliseconds(outcome.done - outcome.sent));
        if (!answer.text_at.empty()) first.push_back(milliseconds(answer.text_at.front() - outcome.sent));
        for (std::size_t k = 1; k < answer.text_at.size(); ++k) {
            gaps.push_back(milliseconds(answer.text_at[k] - answer.text_at[k - 1]));
        }
        events += static_cast<std::int64_t>(answer.text_at.size());
        prompt_tokens += std::max<std::int64_t>(answer.prompt_tokens, 0);
        completion_tokens += std::max<std::int64_t>(answer.completion_tokens, 0);
        cached_tokens += std::max<std::int64_t>(answer.cached_tokens, 0);
    }
    const double wall = milliseconds(run.ended - run.begun) / 1000.0;
    return {{"wall_s", rounded(wall)},
            {"requests", requests.size()},
            {"failed", failed},
            {"prompt_tokens", prompt_tokens},
            {"cached_tokens", cached_tokens},
            {"completion_tokens", completion_tokens},
            {"text_events", events},
            {"tokens_per_s", rounded(static_cast<double>(completion_tokens) / wall)},
            {"ttft_ms", percentiles(std::move(first))},
            {"itl_ms", percentiles(std::move(gaps))},
            {"e2e_ms", percentiles(std::move(whole))},
            {"each", std::move(each)}};
}

}  // namespace sutazai::loadgen
