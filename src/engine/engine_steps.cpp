// One step of the engine: what the scheduler plans is moved, computed, sampled and delivered. Decode thread.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "engine/engine.h"
#include "engine/engine_generation.h"

namespace sutazai::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::microseconds;

/// On a token's grammar, about a millisecond. What takes longer is done elsewhere, so that other streams do not wait.
constexpr std::int64_t kWorkOnDecodeThread = 50'000;
/// A step is cut short for a cancelled request when it computes at least this much of its prompt.
constexpr int kWorthAborting = 64;

Error not_drawn(const std::string& why) {
    return {ErrorCode::kInternal, fmt::format("no token could be drawn: {}", why)};
}

}  // namespace

bool Engine::run_step(StepReport& report) {
    int preparing = 0;
    {
        const std::lock_guard lock(mutex_);
        // Long ones are not worth the wait.
        preparing = n_inbox_ + static_cast<int>(std::ranges::count_if(
                                   preparing_, [](const auto& one) { return !one.second->is_long; }));
    }
    const sched::Step step = scheduler_.plan(now(), preparing);
    if (!apply_ops(step.ops)) {
        scheduler_.roll_back(step);
        return true;
    }
    if (step.empty()) return !step.held && n_slow_draws_ == 0;

    const auto heaviest = std::ranges::max_element(step.chunks, {}, &sched::Chunk::n_tokens);
    const bool mostly_one = heaviest->n_tokens >= kWorthAborting && 2 * heaviest->n_tokens >= step.n_tokens &&
                            (begins_nobody_again(step) || step.chunks.size() == 1);
    prefilling_ = mostly_one ? heaviest->request : 0;
    const auto began = Clock::now();
    const Model::Outcome outcome =
        model_->decode(step, [&](sched::RequestId id) -> const std::vector<Token>& { return scheduler_.chain(id); });
    const auto took = duration_cast<microseconds>(Clock::now() - began);
    prefilling_ = 0;

    ++counters_.steps;
    counters_.step_us += static_cast<std::uint64_t>(took.count());
    switch (outcome) {
        case Model::Outcome::kDone:
            scheduler_.commit(step, took);
            sample(step, report);
            break;
        case Model::Outcome::kAborted: scheduler_.roll_back(step); break;
        case Model::Outcome::kFailed:
            scheduler_.roll_back(step);
            fail_step(step, report);
            break;
    }
    return true;
}

/// Where memory cannot be cut, an aborted step takes all that its chains have computed with it.
bool Engine::begins_nobody_again(const sched::Step& step) const {
    return std::ranges::all_of(step.chunks, [&](const sched::Chunk& chunk) {
        return chunk.first + chunk.n_tokens <= model_->properties().cuttable_tokens;
    });
}

bool Engine::apply_ops(std::span<const sched::KvOp> ops) {
    std::vector<sched::SlotId> incomplete;
    std::vector<sched::Load> loads;  // of the slot that is being filled
    const auto fail_load = [&](const sched::Load& load) {
        scheduler_.restore_failed(load);
        incomplete.push_back(load.slot);
    };
    const auto confirm_loads = [&] {
        if (!loads.empty() && !confirm(loads)) fail_load(loads.front());
        loads.clear();
    };
    for (const sched::KvOp& op : ops) {
        decoding_.advance();
        const auto* load_op = std::get_if<sched::Load>(&op);
        if (load_op == nullptr || (!loads.empty() && loads.back().slot != load_op->slot)) confirm_loads();
        if (load_op != nullptr) {
            if (std::ranges::find(incomplete, load_op->slot) != incomplete.end()) continue;
            if (load(*load_op)) {
                loads.push_back(*load_op);
            } else {
                confirm_loads();
                if (incomplete.empty() || incomplete.back() != load_op->slot) fail_load(*load_op);
            }
        } else if (const auto* save_op = std::get_if<sched::Save>(&op)) {
            save(*save_op);
        } else if (const auto* drop = std::get_if<sched::Drop>(&op)) {
            host_states_.erase(drop->block);
        } else {
            model_->apply(op);
        }
    }
    confirm_loads();
    return incomplete.empty();
}

void Engine::save(const sched::Save& save) {
    Result<KvState> state = model_->save(save.slot, save.first, save.n_tokens);
    if (!state) {
        spdlog::warn("{}", state.error().message);
        scheduler_.save_failed(save.block);
        host_states_.emplace(save.block, HostState{});
        return;
    }
    scheduler_.saved(save.block, state->size);
    host_states_.emplace(save.block,
                         HostState{std::make_shared<const KvState>(std::move(*state)), {}, {}, 0, save.n_tokens});
}

bool Engine::load(const sched::Load& load) {
    const HostState& host = host_states_.at(load.block);
    const int begin = load.first - load.first % kBlockTokens;
    const auto began = Clock::now();
    if (host.state == nullptr || !model_->load(load.slot, begin, load.first, load.n_tokens, *host.state)) {
        spdlog::warn("a kept prefix could not be put back; it is computed again");
        if (host.name) keeper_->reject(*host.name);
        return false;
    }
    scheduler_.restored(load.n_tokens, duration_cast<microseconds>(Clock::now() - began));
    if (host.name) counters_.artifact_tokens += static_cast<std::uint64_t>(load.n_tokens);
    return true;
}

bool Engine::confirm(std::span<const sched::Load> loads) {
    // What the model says after the deepest block depends on all of them.
    for (auto load = loads.rbegin(); load != loads.rend(); ++load) {
        HostState& host = host_states_.at(load->block);
        if (!host.canary) continue;
        // After the whole block, also where the request goes on from a part of it.
        const int begin = load->first - load->first % kBlockTokens;
        const float* logits = model_->logits_after(load->slot, begin, host.n_tokens, *host.state, host.last);
        if (logits == nullptr) return true;  // aborted: another time
        const auto verdict = artifact::compare(
            *host.canary, std::span(logits, static_cast<std::size_t>(model_->properties().vocabulary)));
        if (!verdict.matches) {
            spdlog::warn("artifacts are not what they should be ({}); they are dropped and computed again",
                         verdict.reason);
            for (const sched::Load& each : loads) {
                if (const auto& name = host_states_.at(each.block).name) keeper_->reject(*name);
            }
            return false;
        }
        for (const sched::Load& each : loads) host_states_.at(each.block).canary.reset();
        return true;
    }
    return true;
}

void Engine::sample(const sched::Step& step, StepReport& report) {
    struct Drawn {
        std::shared_ptr<Generation> generation;
        float* logits;
        Token token = 0;
        std::string failure = {};
    };
    std::vector<Drawn> drawn;
    for (std::size_t i = 0; i < step.chunks.size(); ++i) {
        if (!step.chunks[i].wants_logits) continue;
        const std::shared_ptr<Generation>& generation = generations_.at(step.chunks[i].request);
        // Preempted while its token was being drawn, and here again.
        if (generation->is_drawing) continue;
        if (generation->drawn) {
            const Token token = *std::exchange(generation->drawn, std::nullopt);
            deliver(*std::shared_ptr(generation), token, report);
            continue;
        }
        drawn.push_back({generation, model_->logits(i)});
    }
    const auto vocabulary = static_cast<std::size_t>(model_->properties().vocabulary);
    const auto n = static_cast<int>(drawn.size());
    // On llama.cpp's own OpenMP team, which is still awake.
#pragma omp parallel for schedule(dynamic) if (n > 1 && vocabulary * static_cast <std::size_t>(n) > 100'000)
    for (int i = 0; i < n; ++i) {
        Drawn& d = drawn[static_cast<std::size_t>(i)];
        const std::span row(d.logits, vocabulary);
        // No exception may leave a parallel loop.
        try {
            grammar::Work work{kWorkOnDecodeThread};
            d.token = d.generation->source.draw(row, work);
        } catch (const std::exception& e) {
            d.failure = e.what();
        }
    }
    for (Drawn& d : drawn) {
        if (!d.failure.empty()) {
            fail_request(d.generation->id, not_drawn(d.failure), report);
        } else if (d.token == llama::TokenSource::kNoNumbers) {
            fail_request(d.generation->id, no_numbers(d.generation->input_field), report);
        } else if (d.token == llama::TokenSource::kTooDear) {
            draw_slowly(d.generation, {d.logits, vocabulary});
        } else {
            deliver(*d.generation, d.token, report);
        }
    }
}

Error Engine::no_numbers(const char* input_field) {
    if (counters_.broken_results++ == 0) spdlog::error("the model computes what is no number (NaN or infinite)");
    return {ErrorCode::kInternal,
            "the model computed no numbers (NaN or infinite ones) for this input: its file is damaged, or quantised to "
            "fewer bits than it bears",
            input_field};
}

void Engine::draw_slowly(std::shared_ptr<Generation> generation, std::span<const float> logits) {
    generation->is_drawing = true;
    ++n_slow_draws_;
    slow_draws_.post(
        [this, generation = std::move(generation), row = std::vector(logits.begin(), logits.end())] mutable {
            grammar::Work work{llama::kWorkPerToken, &generation->is_gone};
            Token token = llama::TokenSource::kNoToken;
            try {
                token = generation->source.draw(row, work);
            } catch (const std::exception& e) {
                generation->draw_failure = e.what();
            }
            {
                const std::lock_guard lock(mutex_);
                drawn_.emplace_back(std::move(generation), token);
            }
            inbox_ready_.notify_one();
        });
}

void Engine::take_drawn(const std::shared_ptr<Generation>& generation, Token token, StepReport& report) {
    generation->is_drawing = false;
    --n_slow_draws_;
    if (generation->is_gone) return;
    if (!generation->draw_failure.empty()) {
        fail_request(generation->id, not_drawn(generation->draw_failure), report);
    } else if (scheduler_.awaits_token(generation->id)) {
        deliver(*generation, token, report);
    } else {
        generation->drawn = token;
    }
}

void Engine::forget(RequestId id) {
    const auto found = generations_.find(id);
    if (found == generations_.end()) return;
    found->second->is_gone = true;
    generations_.erase(found);
}

void Engine::deliver(Generation& generation, Token token, StepReport& report) {
    const bool too_dear = token == llama::TokenSource::kTooDear;
    if (token < 0 || !generation.source.accept(token)) {
        const char* field = generation.source.grammar()->field();
        const char* why = too_dear ? "is too ambiguous: it takes too long to tell what may come next"
                                   : "lets nothing come next that this model can write";
        fail_request(generation.id, Error{ErrorCode::kInvalidArgument, fmt::format("{} {}", field, why), field},
                     report);
        return;
    }
    ++generation.n_generated;
    ++counters_.generation_tokens;
    if (!generation.first_token) {
        generation.first_token = Clock::now();
        const auto view = scheduler_.view(generation.id);
        counters_.prompt_tokens += static_cast<std::uint64_t>(view.prompt_tokens);
        counters_.cached_tokens += static_cast<std::uint64_t>(view.cached_tokens);
    }
    GenerationUpdate update;
    update.n_tokens = 1;
    const bool more = scheduler_.append(generation.id, token);
    std::string piece;
    model_->append_piece(token, piece);
    if (piece.empty() && generation.stops.push_hidden(model_->piece(token), update.text)) {
        end(generation, FinishReason::kStop, std::move(update), report);
        return;
    }
    if (!generation.ignore_eos && model_->ends_generation(token)) {
        end(generation, FinishReason::kStop, std::move(update), report);
        return;
    }
    std::string text;
    generation.characters.append(piece, text);
    generation.source.made_text(text.size());
    if (generation.stops.push(text, update.text)) {
        end(generation, FinishReason::kStop, std::move(update), report);
    } else if (!more) {
        end(generation, FinishReason::kLength, std::move(update), report);
    } else {
        generation.n_bytes_out += update.text.size();
        generation.source.release(generation.n_bytes_out, false, false, update.scores);
        report.updates.emplace_back(generation.id, std::move(update));
    }
}

void Engine::end(Generation& generation, FinishReason reason, GenerationUpdate update, StepReport& report) {
    if (!generation.stops.matched()) {
        std::string tail;
        generation.characters.finish(tail);
        if (!generation.stops.push(tail, update.text)) generation.stops.finish(update.text);
    }
    generation.source.release(generation.n_bytes_out + update.text.size(), true, generation.stops.matched(),
                              update.scores);
    const auto view = scheduler_.view(generation.id);
    const auto first = *generation.first_token;
    const auto begun = origin_ + *view.begun;
    Finished finished;
    finished.reason = reason;
    finished.usage = {static_cast<std::uint32_t>(view.prompt_tokens), generation.n_generated,
                      static_cast<std::uint32_t>(view.cached_tokens)};
    finished.timings = {duration_cast<microseconds>(begun - generation.submitted),
                        duration_cast<microseconds>(first - begun), duration_cast<microseconds>(Clock::now() - first)};
    update.finished = finished;
    report.updates.emplace_back(generation.id, std::move(update));
    note_reuse(generation.id, generation.salt, view.cached_tokens);
    scheduler_.finish(generation.id);
    forget(generation.id);
}

void Engine::fail_step(const sched::Step& step, StepReport& report) {
    for (const sched::Chunk& chunk : step.chunks) {
        fail_request(chunk.request, {ErrorCode::kInternal, "the model could not compute this step"}, report);
    }
}

void Engine::fail_request(RequestId id, Error error, StepReport& report) {
    GenerationUpdate update;
    update.error = std::move(error);
    report.updates.emplace_back(id, std::move(update));
    scheduler_.cancel(id);
    forget(id);
}

EngineStats Engine::stats() const {
    EngineStats stats = counters_;
    stats.running = scheduler_.running();
    stats.waiting = scheduler_.waiting() + fetching();
    stats.width = scheduler_.width();
    stats.preemptions = scheduler_.preemptions();
    stats.restored_tokens = scheduler_.restored_tokens();
    stats.host_bytes = scheduler_.host().bytes();
    stats.kv_cells_used = scheduler_.cells().used();
    stats.kv_cells = scheduler_.cells().total();
    stats.prefixes = scheduler_.kept();
    if (keeper_ != nullptr) {
        const ArtifactKeeper::Stats artifacts = keeper_->stats();
        stats.artifacts = artifacts.artifacts;
        stats.artifact_bytes = artifacts.bytes;
    }
    return stats;
}

}  // namespace sutazai::engine
