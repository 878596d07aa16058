#include "engine/generations.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace sutazai::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;

/// On a token's grammar, about a millisecond. What takes longer is done elsewhere, so that other streams do not wait.
constexpr std::int64_t kWorkOnDecodeThread = 50'000;

Error not_drawn(const std::string& why) {
    return {ErrorCode::kInternal, fmt::format("no token could be drawn: {}", why)};
}

/// A row of logits, and the token that is drawn from it.
struct Draw {
    std::shared_ptr<Generation> generation;
    std::span<float> logits;
    Token token = 0;
    std::string failure = {};

    void run() {
        try {
            grammar::Work work{kWorkOnDecodeThread};
            token = generation->source().draw(logits, work);
        } catch (const std::exception& e) {
            failure = e.what();
        }
    }
};

}  // namespace

Generations::Generations(EngineState& state, ArtifactTraffic& artifacts, Mailbox& mailbox, SlowDraws& slow_draws)
    : state_(state), artifacts_(artifacts), mailbox_(mailbox), slow_draws_(slow_draws) {}

void Generations::begin(Prepared prepared, StepReport& report) {
    const std::size_t n = prepared.prompt.size();
    const auto window = std::span(prepared.prompt).last(std::min(n, penalty_window(prepared.request.sampling)));
    const std::vector<RequestId> answers = prepared.wanted();
    const std::optional<std::uint64_t> seed = prepared.request.sampling.seed;
    for (const RequestId id : answers) {
        const auto index = static_cast<std::size_t>(id - prepared.id);
        if (seed) prepared.request.sampling.seed = *seed + index;
        auto generation = std::make_shared<Generation>(*state_.model, prepared, id);
        for (const Token token : window) {
            if (token >= 0) generation->source().accept_prompt(token);
        }
        generations_.emplace(id, std::move(generation));
    }
    artifacts_.note_salt(prepared);
    std::vector<sched::Apart> apart;
    for (const llama::ImageRun& run : prepared.images) apart.push_back({run.first, run.n_tokens, run.whole});
    const auto admission = state_.scheduler.submit({.id = answers.front(),
                                                    .prompt = std::move(prepared.prompt),
                                                    .max_new_tokens = prepared.request.max_tokens,
                                                    .priority = prepared.request.priority,
                                                    .salt = prepared.salt(),
                                                    .forks = {answers.begin() + 1, answers.end()},
                                                    .apart = std::move(apart)},
                                                   state_.time_of(prepared.submitted));
    if (admission == sched::Scheduler::Admission::kAccepted) return;
    for (const RequestId id : answers) generations_.erase(id);
    // Both limits were checked before: a bug.
    report.fail(answers, {ErrorCode::kInternal, "the scheduler refused the request"});
}

void Generations::tell_prompts(const sched::Step& step, StepReport& report) const {
    for (const sched::Chunk& chunk : step.chunks) {
        const Generation& generation = *generations_.at(chunk.request);
        if (generation.n_tokens() > 0) continue;
        const auto view = state_.scheduler.view(chunk.request);
        const int from_disk = std::min(generation.fetched_tokens(), view.copied_tokens);
        const auto tokens = [](int n) { return static_cast<std::uint32_t>(n); };
        report.prompts.emplace_back(
            chunk.request,
            PromptProgress{
                .prompt_tokens = tokens(view.prompt_tokens),
                .ready_tokens = tokens(chunk.first + chunk.n_tokens),
                .shared_tokens = tokens(view.shared_tokens),
                .kept_tokens = tokens(view.cached_tokens - view.shared_tokens - view.copied_tokens),
                .host_tokens = tokens(view.copied_tokens - from_disk),
                .artifact_tokens = tokens(from_disk),
                .queued = duration_cast<microseconds>(state_.origin + *view.begun - generation.submitted())});
    }
}

void Generations::sample(const sched::Step& step, StepReport& report) {
    const auto vocabulary = static_cast<std::size_t>(state_.model->properties().vocabulary);
    std::vector<Draw> draws;
    for (std::size_t i = 0; i < step.chunks.size(); ++i) {
        if (!step.chunks[i].wants_logits) continue;
        const std::shared_ptr<Generation>& generation = generations_.at(step.chunks[i].request);
        // Preempted while its token was being drawn, and here again.
        if (generation->slow_draw.is_running) continue;
        if (generation->slow_draw.token) {
            const Token token = *std::exchange(generation->slow_draw.token, std::nullopt);
            deliver(*std::shared_ptr(generation), token, report);
            continue;
        }
        draws.push_back({generation, {state_.model->logits(i), vocabulary}});
    }
    const auto n = static_cast<int>(draws.size());
    // On llama.cpp's own OpenMP team, which is still awake. No exception may leave a parallel loop.
#pragma omp parallel for schedule(dynamic) if (n > 1 && vocabulary * static_cast <std::size_t>(n) > 100'000)
    for (int i = 0; i < n; ++i) draws[static_cast<std::size_t>(i)].run();
    for (const Draw& draw : draws) {
        if (!draw.failure.empty()) {
            fail(draw.generation->id(), not_drawn(draw.failure), report);
        } else if (draw.token == llama::TokenSource::kNoNumbers) {
            fail(draw.generation->id(), state_.no_numbers(draw.generation->input_field()), report);
        } else if (draw.token == llama::TokenSource::kTooDear) {
            draw_slowly(draw.generation, draw.logits);
        } else {
            deliver(*draw.generation, draw.token, report);
        }
    }
}

void Generations::draw_slowly(std::shared_ptr<Generation> generation, std::span<const float> logits) {
    generation->slow_draw.is_running = true;
    ++n_slow_draws_;
    slow_draws_.post([&mailbox = mailbox_, generation = std::move(generation),
                      row = std::vector(logits.begin(), logits.end())]() mutable {
        grammar::Work work{llama::kWorkPerToken, &generation->is_gone};
        Token token = llama::TokenSource::kNoToken;
        try {
            token = generation->source().draw(row, work);
        } catch (const std::exception& e) {
            generation->slow_draw.failure = e.what();
        }
        mailbox.post(DrawnToken{std::move(generation), token});
    });
}

void Generations::take(const DrawnToken& drawn, StepReport& report) {
    Generation& generation = *drawn.generation;
    generation.slow_draw.is_running = false;
    --n_slow_draws_;
    if (generation.is_gone) return;
    if (!generation.slow_draw.failure.empty()) {
        fail(generation.id(), not_drawn(generation.slow_draw.failure), report);
    } else if (state_.scheduler.awaits_token(generation.id())) {
        deliver(generation, drawn.token, report);
    } else {
        generation.slow_draw.token = drawn.token;
    }
}

void Generations::deliver(Generation& generation, Token token, StepReport& report) {
    if (auto accepted = generation.accept(token); !accepted) {
        fail(generation.id(), std::move(accepted.error()), report);
        return;
    }
    ++state_.counters.generation_tokens;
    if (generation.n_tokens() == 1) {
        const auto view = state_.scheduler.view(generation.id());
        state_.counters.prompt_tokens += static_cast<std::uint64_t>(view.prompt_tokens);
        state_.counters.cached_tokens += static_cast<std::uint64_t>(view.cached_tokens);
    }
    GenerationUpdate update;
    update.n_tokens = 1;
    const bool has_room = state_.scheduler.append(generation.id(), token);
    if (const auto reason = generation.write(token, update)) {
        end(generation, *reason, std::move(update), report);
    } else if (!has_room) {
        end(generation, FinishReason::kLength, std::move(update), report);
    } else {
        generation.release(update);
        report.add(generation.id(), std::move(update));
    }
}

void Generations::end(Generation& generation, FinishReason reason, GenerationUpdate update, StepReport& report) {
    generation.release_rest(reason, update);
    const auto view = state_.scheduler.view(generation.id());
    const auto first = generation.first_token();
    const auto begun = state_.origin + *view.begun;
    Finished finished;
    finished.reason = generation.reason(reason);
    finished.stop = generation.stop();
    finished.usage = {static_cast<std::uint32_t>(view.prompt_tokens), generation.n_tokens(),
                      static_cast<std::uint32_t>(view.cached_tokens), generation.n_thoughts()};
    finished.timings = {duration_cast<microseconds>(begun - generation.submitted()),
                        duration_cast<microseconds>(first - begun), duration_cast<microseconds>(Clock::now() - first)};
    if (generation.returns_tokens()) {
        finished.tokens = state_.scheduler.tokens(generation.id());
        std::erase_if(finished.tokens, [](Token token) { return token < 0; });  // of images
        if (!finished.tokens.empty() && reason == FinishReason::kStop &&
            state_.model->ends_generation(finished.tokens.back())) {
            finished.tokens.pop_back();
        }
    }
    update.finished = std::move(finished);
    report.add(generation.id(), std::move(update));
    artifacts_.note_reuse(generation.id(), generation.salt(), view.cached_tokens);
    state_.scheduler.finish(generation.id());
    forget(generation.id());
}

const llama::AdapterSet* Generations::adapters_of(RequestId id) const {
    const auto found = generations_.find(id);
    return found == generations_.end() ? nullptr : found->second->adapters();
}

const llama::PromptImages* Generations::images_of(RequestId id) const {
    const auto found = generations_.find(id);
    return found == generations_.end() ? nullptr : found->second->images();
}

void Generations::cancel(RequestId id) {
    state_.scheduler.cancel(id);
    forget(id);
}

void Generations::fail(RequestId id, Error error, StepReport& report) {
    report.fail(id, std::move(error));
    cancel(id);
}

void Generations::expire(const QueueTimeout& timeout, StepReport& report) {
    if (state_.scheduler.waiting() == 0) return;
    for (const RequestId id : state_.scheduler.expire(state_.now())) {
        report.fail(id, timeout.error());
        forget(id);
    }
}

void Generations::forget(RequestId id) {
    const auto found = generations_.find(id);
    if (found == generations_.end()) return;
    found->second->is_gone = true;
    generations_.erase(found);
}

}  // namespace sutazai::engine
