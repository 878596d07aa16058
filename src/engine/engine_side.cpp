// The part of the engine that runs beside the scheduler: embeddings, and prompts that are given back with the scores of
// their tokens.
#include "engine/engine.h"

#include <fmt/format.h>

namespace sutazai::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

/// How long one turn may hold up the streams, and how long it may take when there are none: a cancelled or a new
/// request waits for its end.
constexpr milliseconds kTurnBesideStreams{50};
constexpr milliseconds kTurnAlone{250};

}  // namespace

bool Engine::start_beside(Prepared& prepared, StepReport& report) {
    const GenerationRequest& request = prepared.request;
    if (request.task == Task::kEmbed) {
        embeddings_->add({.id = prepared.id,
                          .tokens = std::move(prepared.prompt),
                          .submitted = prepared.submitted,
                          .priority = request.priority});
    } else if (request.echo && request.top_logprobs >= 0) {
        scores_->add({.id = prepared.id,
                      .tokens = prepared.prompt,
                      .n_top = request.top_logprobs,
                      .submitted = prepared.submitted,
                      .priority = request.priority});
        scored_.emplace(prepared.id, std::move(prepared));
    } else if (request.echo) {
        begin_echo(std::move(prepared), {}, report);
    } else {
        return false;
    }
    return true;
}

void Engine::begin_echo(Prepared prepared, std::vector<TokenScore> scores, StepReport& report) {
    for (const RequestId id : prepared.wanted()) {
        GenerationUpdate update;
        update.text = prepared.echo;
        update.scores = scores;
        if (prepared.request.max_tokens == 0) {
            Finished finished;
            finished.reason = FinishReason::kLength;
            finished.usage.prompt_tokens = static_cast<std::uint32_t>(prepared.prompt.size());
            finished.timings.prefill = duration_cast<microseconds>(Clock::now() - prepared.submitted);
            update.finished = finished;
        }
        report.updates.emplace_back(id, std::move(update));
    }
    prepared.echo = {};
    if (prepared.request.max_tokens != 0) schedule(std::move(prepared), report);
}

void Engine::run_beside(StepReport& report) {
    const bool streams = scheduler_.running() > 0;
    for (SideContext* side : {embeddings_.get(), scores_.get()}) {
        if (config_.queue_timeout > microseconds(0)) {
            for (const RequestId id : side->expire(Clock::now() - config_.queue_timeout)) {
                fail_beside(id, timed_out(), report);
            }
        }
        for (SideContext::Job& job : side->turn(streams ? kTurnBesideStreams : kTurnAlone)) {
            counters_.prompt_tokens += job.tokens.size();
            if (job.no_numbers) job.error = no_numbers("prompt");
            if (side == scores_.get() && !job.error) {
                auto prepared = scored_.extract(job.id);
                begin_echo(std::move(prepared.mapped()), std::move(job.scores), report);
                continue;
            }
            if (job.error) {
                fail_beside(job.id, *job.error, report);
                continue;
            }
            GenerationUpdate update;
            Finished finished;
            finished.usage.prompt_tokens = static_cast<std::uint32_t>(job.tokens.size());
            finished.timings.prefill = duration_cast<microseconds>(Clock::now() - job.submitted);
            update.embedding = std::move(job.embedding);
            update.finished = finished;
            report.updates.emplace_back(job.id, std::move(update));
        }
    }
}

/// Of an embedding, or of all answers to a prompt whose scores were wanted.
void Engine::fail_beside(RequestId id, const Error& error, StepReport& report) {
    if (const auto scored = scored_.extract(id)) {
        fail_all(scored.mapped(), error, report);
        return;
    }
    GenerationUpdate update;
    update.error = error;
    report.updates.emplace_back(id, std::move(update));
}

void Engine::cancel_beside(RequestId id) {
    if (const auto found = request_of(scored_, id); found != scored_.end()) {
        found->second.cancelled.insert(id);
        if (!found->second.wanted().empty()) return;
        scores_->cancel(found->first);
        scored_.erase(found);
        return;
    }
    embeddings_->cancel(id);
}

}  // namespace sutazai::engine
