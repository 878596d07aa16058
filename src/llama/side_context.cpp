#include "llama/side_context.h"

#include <fmt/format.h>
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <memory>

#include "llama/model.h"
#include "llama/token_source.h"

namespace sutazai::llama {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSequences = 32;  // jobs that share a batch at most
/// Of a recurrent model: each takes a state, and llama.cpp computes one after the other where all tokens have results.
constexpr int kRecurrentSequences = 4;
constexpr int kMostTokensPerTurn = 512;
constexpr int kLeastTokensPerTurn = 16;
constexpr int kUsualContext = 2048;
/// llama.cpp keeps a row of logits for each token whose result is asked for, embeddings too.
constexpr std::size_t kLogitsBytesPerTurn = std::size_t{64} << 20;

class LlamaSideContext final : public SideContext {
  public:
    LlamaSideContext(const Model& model, Kind kind);
    ~LlamaSideContext() override;
    LlamaSideContext(const LlamaSideContext&) = delete;
    LlamaSideContext& operator=(const LlamaSideContext&) = delete;

    void add(Job job) override;
    bool cancel(RequestId id) override;
    [[nodiscard]] std::vector<RequestId> expire(Clock::time_point bound) override;
    [[nodiscard]] int open() const override { return static_cast<int>(jobs_.size()); }
    [[nodiscard]] bool skips_output_layer() const override;
    [[nodiscard]] std::vector<Job> turn(std::chrono::microseconds target) override;

  private:
    struct Running;
    struct Context;

    [[nodiscard]] bool ranks() const {
        return kind_ == Kind::kEmbeddings && model_.properties().pooling == Pooling::kRank;
    }
    /// Must an input be in one batch?
    [[nodiscard]] bool reads_whole() const { return !model_.properties().generates || ranks(); }
    [[nodiscard]] int most_tokens() const;  ///< of one turn
    [[nodiscard]] int tokens_of_turn(std::chrono::microseconds target) const;
    [[nodiscard]] int usual_context() const;
    bool make_context(std::size_t longest);
    void find_where_to_stop();
    void plan(int budget);
    void take_rows(Running& running, int first_row);
    static void finish_embedding(Running& running);

    const Model& model_;
    Kind kind_;
    std::unique_ptr<Context> context_;
    std::deque<std::unique_ptr<Running>> jobs_;  ///< those with a sequence first, then by priority and arrival
    double us_per_token_ = 1000;                 ///< smoothed; the first guess is careful
};

struct LlamaSideContext::Running {
    Job job;
    int sequence = -1;  // -1: has not begun
    int n_done = 0;     // tokens computed
    int first_row = 0;  // of its part of the turn's batch
    int n_rows = 0;
    std::vector<double> sum;  // kEmbeddings: of the rows so far

    [[nodiscard]] int left() const { return static_cast<int>(job.tokens.size()) - n_done; }
};

struct LlamaSideContext::Context {
    llama_context* context = nullptr;
    /// Set: a computation ends with the results of the last layer, before a row of logits is made for each token.
    bool stops_before_logits = false;
    int n_stopped = 0;  ///< computations that ended so
    llama_batch batch{};
    int n_cells = 0;
    std::vector<int> free_sequences;

    /// llama.cpp asks which nodes of its graph somebody wants to see, and ends the computation when he then says so.
    static bool on_node(ggml_tensor* node, bool asks, void* user) {
        auto* self = static_cast<Context*>(user);
        if (asks) return self->stops_before_logits && std::string_view(node->name) == "result_embd_pooled";
        ++self->n_stopped;
        return false;
    }

    ~Context() {
        if (batch.token != nullptr) llama_batch_free(batch);
        llama_free(context);
    }
};

LlamaSideContext::LlamaSideContext(const Model& model, Kind kind) : model_(model), kind_(kind) {}
LlamaSideContext::~LlamaSideContext() = default;

void LlamaSideContext::add(Job job) {
    auto running = std::make_unique<Running>();
    running->job = std::move(job);
    const auto later = std::ranges::find_if(
        jobs_, [&](const auto& other) { return other->sequence < 0 && other->job.priority > running->job.priority; });
    jobs_.insert(later, std::move(running));
}

bool LlamaSideContext::cancel(RequestId id) {
    const auto found = std::ranges::find_if(jobs_, [&](const auto& job) { return job->job.id == id; });
    if (found == jobs_.end()) return false;
    if ((*found)->sequence >= 0) {
        if (llama_memory_t memory = llama_get_memory(context_->context)) {
            llama_memory_seq_rm(memory, (*found)->sequence, -1, -1);
        }
        context_->free_sequences.push_back((*found)->sequence);
    }
    jobs_.erase(found);
    return true;
}

std::vector<RequestId> LlamaSideContext::expire(Clock::time_point bound) {
    std::vector<RequestId> expired;
    std::erase_if(jobs_, [&](const auto& job) {
        if (job->sequence >= 0 || job->job.submitted >= bound) return false;
        expired.push_back(job->job.id);
        return true;
    });
    return expired;
}

bool LlamaSideContext::skips_output_layer() const {
    return context_ != nullptr && context_->stops_before_logits && context_->n_stopped > 1;
}

int LlamaSideContext::most_tokens() const {
    const std::size_t row = static_cast<std::size_t>(model_.properties().vocabulary) * sizeof(float);
    return static_cast<int>(std::clamp<std::size_t>(kLogitsBytesPerTurn / row, 1, kMostTokensPerTurn));
}

int LlamaSideContext::tokens_of_turn(std::chrono::microseconds target) const {
    const double quick = std::min(static_cast<double>(target.count()) / us_per_token_, 1e6);
    return std::min(most_tokens(), std::max(kLeastTokensPerTurn, static_cast<int>(quick)));
}

int LlamaSideContext::usual_context() const {
    return model_.properties().generates ? kUsualContext : kMostTokensPerTurn;
}

/// A context that `longest` tokens fit into: the present one, or a new one when nothing runs in it.
bool LlamaSideContext::make_context(std::size_t longest) {
    const bool whole_inputs = reads_whole();
    const int wanted = std::max(usual_context(), static_cast<int>(std::bit_ceil(longest)));
    if (context_ != nullptr && context_->n_cells >= wanted) return true;
    auto made = std::make_unique<Context>();
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<std::uint32_t>(wanted);
    // A model that reads its input at once must have it in one batch.
    params.n_batch = static_cast<std::uint32_t>(whole_inputs ? wanted : most_tokens());
    params.n_ubatch = params.n_batch;
    const int sequences = model_.properties().partial_removal_tokens == 0 ? kRecurrentSequences : kSequences;
    params.n_seq_max = static_cast<std::uint32_t>(sequences);
    params.n_threads = params.n_threads_batch = model_.threads();
    params.kv_unified = true;
    params.embeddings = kind_ == Kind::kEmbeddings;
    // Pooled here, so that an input may come in parts.
    params.pooling_type = ranks() ? LLAMA_POOLING_TYPE_RANK : LLAMA_POOLING_TYPE_NONE;
    params.no_perf = true;
    params.abort_callback = [](void* user) {
        const auto& listener = static_cast<const LlamaSideContext*>(user)->on_progress_;
        if (listener) listener();
        return false;
    };
    params.abort_callback_data = this;
    if (kind_ == Kind::kEmbeddings && !whole_inputs) {
        params.cb_eval = &Context::on_node;
        params.cb_eval_user_data = made.get();
    }
    context_.reset();  // its memory first
    made->context = llama_init_from_model(model_.handle(), params);
    if (made->context == nullptr) return false;
    made->batch = llama_batch_init(static_cast<std::int32_t>(params.n_batch), 0, 1);
    made->n_cells = wanted;
    for (int sequence = sequences - 1; sequence >= 0; --sequence) made->free_sequences.push_back(sequence);
    context_ = std::move(made);
    if (params.cb_eval != nullptr) find_where_to_stop();
    return true;
}

/// The output layer is of no use to an embedding, and is a quarter of a small model. llama.cpp computes it all the same
/// unless it is stopped; whether the vectors are ready by then is seen from two tokens that are computed both ways.
void LlamaSideContext::find_where_to_stop() {
    const auto width = static_cast<std::size_t>(model_.properties().embedding_width);
    const auto vectors = [&](Token first, bool stops) {
        context_->stops_before_logits = stops;
        std::vector<float> rows;
        llama_batch& batch = context_->batch;
        batch.n_tokens = 2;
        for (int row = 0; row < batch.n_tokens; ++row) {
            batch.token[row] = first + row;
            batch.pos[row] = row;
            batch.n_seq_id[row] = 1;
            batch.seq_id[row][0] = 0;
            batch.logits[row] = 1;
        }
        if (llama_decode(context_->context, batch) == 0) {
            for (int row = 0; row < batch.n_tokens; ++row) {
                const float* vector = llama_get_embeddings_ith(context_->context, row);
                rows.insert(rows.end(), vector, vector + width);
            }
        }
        llama_memory_seq_rm(llama_get_memory(context_->context), 0, -1, -1);
        return rows;
    };
    const std::vector<float> whole = vectors(0, false);
    (void)vectors(1, false);  // so that what stands in the buffers is something else
    const bool same = !whole.empty() && vectors(0, true) == whole;
    context_->stops_before_logits = same && context_->n_stopped > 0;
}

/// Fills the batch with at most `budget` tokens: jobs that have begun first, then as many more as there are cells for.
void LlamaSideContext::plan(int budget) {
    llama_batch& batch = context_->batch;
    const bool whole_inputs = reads_whole();
    batch.n_tokens = 0;
    int cells = context_->n_cells;
    for (const auto& job : jobs_) cells -= job->sequence >= 0 ? static_cast<int>(job->job.tokens.size()) : 0;
    for (const auto& job : jobs_) {
        job->n_rows = 0;
        const int room = budget - batch.n_tokens;
        if (room <= 0 && batch.n_tokens > 0) continue;
        if (job->sequence < 0) {
            const int length = static_cast<int>(job->job.tokens.size());
            if (context_->free_sequences.empty() || length > cells) break;
            if (whole_inputs && length > room && batch.n_tokens > 0) break;
            cells -= length;
            job->sequence = context_->free_sequences.back();
            context_->free_sequences.pop_back();
        }
        job->first_row = batch.n_tokens;
        job->n_rows = whole_inputs ? job->left() : std::min(job->left(), room);
        for (int i = 0; i < job->n_rows; ++i) {
            const int row = batch.n_tokens++;
            batch.token[row] = job->job.tokens[static_cast<std::size_t>(job->n_done) + static_cast<std::size_t>(i)];
            batch.pos[row] = job->n_done + i;
            batch.n_seq_id[row] = 1;
            batch.seq_id[row][0] = job->sequence;
            batch.logits[row] = 1;
        }
    }
}

std::vector<SideContext::Job> LlamaSideContext::turn(std::chrono::microseconds target) {
    std::vector<Job> ended;
    if (jobs_.empty()) return ended;
    const bool nothing_runs = jobs_.front()->sequence < 0;
    const auto fail_front = [&](const char* what) {
        jobs_.front()->job.error = Error{ErrorCode::kInternal, what};
        ended.push_back(std::move(jobs_.front()->job));
        jobs_.pop_front();
    };
    if (nothing_runs && !make_context(jobs_.front()->job.tokens.size())) {
        fail_front("there is no memory to read this prompt beside the running answers");
        return ended;
    }
    plan(tokens_of_turn(target));
    const auto began = Clock::now();
    int code = 0;
    try {
        code = llama_decode(context_->context, context_->batch);
        if (code == 0) llama_synchronize(context_->context);
    } catch (const std::exception& e) {
        spdlog::error("llama_decode threw: {}", e.what());
        code = -1;
    }
    if (code != 0) {
        spdlog::error("llama_decode failed with code {} beside the streams", code);
        context_.reset();
        while (!jobs_.empty() && jobs_.front()->sequence >= 0) fail_front("the model could not compute this prompt");
        return ended;
    }
    const double took = std::chrono::duration<double, std::micro>(Clock::now() - began).count();
    us_per_token_ += 0.3 * (took / context_->batch.n_tokens - us_per_token_);

    for (const auto& job : jobs_) {
        if (job->n_rows == 0) continue;
        take_rows(*job, job->first_row);
        job->n_done += job->n_rows;
        if (job->left() > 0) continue;
        if (kind_ == Kind::kEmbeddings && !ranks()) finish_embedding(*job);
        if (llama_memory_t memory = llama_get_memory(context_->context)) {
            llama_memory_seq_rm(memory, job->sequence, -1, -1);
        }
        context_->free_sequences.push_back(job->sequence);
        ended.push_back(std::move(job->job));
        job->job.tokens.clear();
    }
    std::erase_if(jobs_, [](const auto& job) { return job->job.tokens.empty(); });
    if (jobs_.empty() && context_->n_cells > usual_context()) context_.reset();
    return ended;
}

void LlamaSideContext::take_rows(Running& running, int first_row) {
    Job& job = running.job;
    const auto vocabulary = static_cast<std::size_t>(model_.properties().vocabulary);
    const int length = static_cast<int>(job.tokens.size());
    if (kind_ == Kind::kScores) {
        if (running.n_done == 0) job.scores.push_back({{model_.piece(job.tokens[0]), 0}, {}, false});
        LogitRow row;
        // Row i says what comes after token i.
        for (int i = 0; i < running.n_rows && running.n_done + i + 1 < length; ++i) {
            const std::span logits(llama_get_logits_ith(context_->context, first_row + i), vocabulary);
            const Token token = job.tokens[static_cast<std::size_t>(running.n_done) + static_cast<std::size_t>(i) + 1];
            job.no_numbers = job.no_numbers || !row.read(logits);
            if (job.no_numbers) return;
            job.scores.push_back(score_of(model_, row, token, job.n_top));
        }
        return;
    }
    if (ranks()) {
        const float* scores = llama_get_embeddings_seq(context_->context, running.sequence);
        job.no_numbers = scores == nullptr || !std::isfinite(scores[0]);
        if (!job.no_numbers) job.embedding = {scores[0]};
        return;
    }
    const auto width = static_cast<std::size_t>(model_.properties().embedding_width);
    running.sum.resize(width);
    for (int i = 0; i < running.n_rows; ++i) {
        const int at = running.n_done + i;
        const bool counts = model_.properties().pooling == Pooling::kMean ||
                            at == (model_.properties().pooling == Pooling::kFirst ? 0 : length - 1);
        if (!counts) continue;
        const float* row = llama_get_embeddings_ith(context_->context, first_row + i);
        for (std::size_t k = 0; k < width; ++k) running.sum[k] += static_cast<double>(row[k]);
    }
}

void LlamaSideContext::finish_embedding(Running& running) {
    double square = 0;
    for (const double value : running.sum) square += value * value;
    // One value that is not finite makes the sum so.
    running.job.no_numbers = !std::isfinite(square);
    if (running.job.no_numbers) return;
    const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
    running.job.embedding.reserve(running.sum.size());
    for (const double value : running.sum) running.job.embedding.push_back(static_cast<float>(value * scale));
}

}  // namespace

std::unique_ptr<SideContext> Model::beside(SideContext::Kind kind) const {
    return std::make_unique<LlamaSideContext>(*this, kind);
}

}  // namespace sutazai::llama
