#include "engine/side_work.h"

#include <utility>

namespace sutazai::engine {
namespace {

using Clock = std::chrono::steady_clock;
using llama::SideContext;

/// How long one turn may hold up the streams, and how long it may take when there are none: a cancelled or a new
/// request waits for its end.
constexpr std::chrono::milliseconds kTurnBesideStreams{50};
constexpr std::chrono::milliseconds kTurnAlone{250};

/// The end of a request that only its prompt was read for.
Finished prompt_read(std::size_t n_tokens, Clock::time_point submitted) {
    Finished finished;
    finished.usage.prompt_tokens = static_cast<std::uint32_t>(n_tokens);
    finished.timings.prefill = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - submitted);
    return finished;
}

}  // namespace

SideWork::SideWork(EngineState& state, Generations& generations, QueueTimeout timeout)
    : state_(state),
      generations_(generations),
      timeout_(timeout),
      embeddings_(state.model->beside(SideContext::Kind::kEmbeddings)),
      scores_(state.model->beside(SideContext::Kind::kScores)) {
    for (SideContext* side : {embeddings_.get(), scores_.get()}) {
        side->on_progress([&progress = state_.progress] { progress.advance(); });
    }
}

bool SideWork::begin(Prepared& prepared, StepReport& report) {
    const GenerationRequest& request = prepared.request;
    if (request.task == Task::kEmbed || request.task == Task::kRank) {
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
        scored_.add(std::move(prepared));
    } else if (request.echo) {
        give_back(std::move(prepared), {}, report);
    } else {
        return false;
    }
    return true;
}

void SideWork::give_back(Prepared prepared, const std::vector<TokenScore>& scores, StepReport& report) {
    for (const RequestId id : prepared.wanted()) {
        GenerationUpdate update;
        update.delta.content = prepared.echo;
        update.scores = scores;
        if (prepared.request.max_tokens == 0) {
            update.finished = prompt_read(prepared.prompt.size(), prepared.submitted);
            update.finished->reason = FinishReason::kLength;
        }
        report.add(id, std::move(update));
    }
    prepared.echo = {};
    if (prepared.request.max_tokens != 0) generations_.begin(std::move(prepared), report);
}

void SideWork::run(StepReport& report) {
    const bool streams = state_.scheduler.running() > 0;
    for (SideContext* side : {embeddings_.get(), scores_.get()}) {
        if (timeout_.is_set()) {
            for (const RequestId id : side->expire(timeout_.bound())) fail(id, timeout_.error(), report);
        }
        for (SideContext::Job& job : side->turn(streams ? kTurnBesideStreams : kTurnAlone)) {
            take(std::move(job), report);
        }
    }
}

void SideWork::take(SideContext::Job job, StepReport& report) {
    state_.counters.prompt_tokens += job.tokens.size();
    if (job.no_numbers) job.error = state_.no_numbers("prompt");
    if (job.error) {
        fail(job.id, *job.error, report);
    } else if (auto prepared = scored_.take(job.id)) {
        give_back(std::move(*prepared), job.scores, report);
    } else {
        GenerationUpdate update;
        update.embedding = std::move(job.embedding);
        update.finished = prompt_read(job.tokens.size(), job.submitted);
        report.add(job.id, std::move(update));
    }
}

/// Of an embedding, or of all answers to a prompt whose scores were wanted.
void SideWork::fail(RequestId id, const Error& error, StepReport& report) {
    if (const auto scored = scored_.take(id)) {
        report.fail(scored->wanted(), error);
    } else {
        report.fail(id, error);
    }
}

void SideWork::cancel(RequestId id) {
    if (const auto request = scored_.cancel(id)) scores_->cancel(*request);
    embeddings_->cancel(id);
}

}  // namespace sutazai::engine
