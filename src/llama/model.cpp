#include "llama/model.h"

#include <common.h>
#include <fmt/format.h>
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <exception>
#include <future>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "base/file_guard.h"
#include "base/kv_cells.h"
#include "base/kv_types.h"
#include "grammar/token_trie.h"
#include "kernels/cpu_level.h"
#include "kernels/stand_ins.h"
#include "llama/kv_fingerprint.h"
#include "llama/llama_log.h"
#include "llama/vocabulary.h"

namespace sutazai::llama {
namespace {

constexpr std::uint32_t kMicroBatchTokens = 512;
constexpr int kMaxSequences = 255;  // LLAMA_MAX_SEQ of llama.cpp, less the one through which states go in and out
constexpr int kSpareCells = 256;
constexpr int kWarmUpTokens = 4;  // of the prompt: as many rows as the kernels for many rows take at a time
constexpr int kKeptChains = 64;   // chains of finished requests beside the running ones
constexpr int kLeastKeptChains = 4;
/// What the states of a recurrent model's chains may take at most, if that is enough for those that usually run: so
/// much, or so much of the weights.
constexpr std::uint64_t kStatesBytes = 256ULL << 20;
constexpr std::uint64_t kStatesShareOfWeights = 4;

struct ContextDeleter {
    void operator()(llama_context* context) const { llama_free(context); }
};

/// Generative models name no pooling; the mean is what most are used with.
Pooling pooling_of(const llama_context* context) {
    switch (llama_pooling_type(context)) {
        case LLAMA_POOLING_TYPE_CLS: return Pooling::kFirst;
        case LLAMA_POOLING_TYPE_LAST: return Pooling::kLast;
        case LLAMA_POOLING_TYPE_RANK: return Pooling::kRank;
        default: return Pooling::kMean;
    }
}

std::optional<ggml_type> ggml_kv_type(std::string_view wanted) {
    const auto type = kv_type(wanted);
    for (int i = 0; type && i < GGML_TYPE_COUNT; ++i) {
        const char* name = ggml_type_name(static_cast<ggml_type>(i));
        if (name != nullptr && type->name == name) return static_cast<ggml_type>(i);
    }
    return std::nullopt;
}

/// Bytes of one chain's recurrent state, which do not depend on its length. 0 when it cannot be told.
std::uint64_t recurrent_state_bytes(llama_model* model) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = 256;
    params.n_seq_max = 1;
    params.no_perf = true;
    const std::unique_ptr<llama_context, ContextDeleter> context(llama_init_from_model(model, params));
    if (context == nullptr) return 0;
    llama_token token = 0;
    if (llama_decode(context.get(), llama_batch_get_one(&token, 1)) != 0) return 0;
    return llama_state_seq_get_size_ext(context.get(), 0, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY);
}

/// How many chains a context can hold at once.
int chains_of(llama_model* model, const LoadOptions& options, bool recurrent) {
    const int sequences = std::clamp(static_cast<int>(options.max_sequences), 1, kMaxSequences);
    const int most = std::min(kMaxSequences, sequences + kKeptChains);
    if (!recurrent) return most;
    const std::uint64_t bytes = recurrent_state_bytes(model);
    if (bytes == 0) return sequences;
    const std::uint64_t room = std::max(kStatesBytes, llama_model_size(model) / kStatesShareOfWeights);
    const int usual = std::min(static_cast<int>(options.batch_size), sequences) + kLeastKeptChains;
    return static_cast<int>(
        std::clamp<std::uint64_t>(room / bytes, static_cast<std::uint64_t>(std::min(usual, most)), most));
}

}  // namespace

struct Model::Impl {
    std::optional<FileGuard> files;  ///< once it is loaded
    LlamaModel model;
    std::unique_ptr<llama_context, ContextDeleter> context;
    Vocabulary words;
    const llama_vocab* vocab = nullptr;  ///< of `words`, or of `model`
    bool control_tokens_in_messages = false;
    llama_batch batch{};
    /// Puts a state into an empty sequence; false when it does not begin where it should.
    bool read_state(const KvState& state, sched::SlotId sequence, int begin) const {
        return llama_state_seq_set_data(context.get(), state.data.get(), state.size, sequence) == state.size &&
               llama_memory_seq_pos_min(llama_get_memory(context.get()), sequence) == begin;
    }

    std::once_flag texts_made;
    std::unique_ptr<const grammar::TokenTrie> texts;
    std::vector<int> output_rows;  ///< [chunks of the last step] index in the batch, -1 without logits

    ~Impl() {
        if (batch.token != nullptr) llama_batch_free(batch);
    }
};

Model::Model() : impl_(std::make_unique<Impl>()) {}
Model::~Model() = default;

void Model::prepare_process() {
    install_llama_log();
    llama_backend_init();
    (void)ggml_backend_dev_count();  // looks for devices
}

Result<std::unique_ptr<Model>> Model::load(const LoadOptions& options, const std::function<void(float)>& progress) {
    prepare_process();
    spdlog::debug("kernels for {} processors", kernels::cpu_level().name);
    auto files = FileGuard::open(model_parts(options.path));
    if (!files) return std::unexpected(files.error());
    auto model = [&]() -> Result<std::unique_ptr<Model>> {
        if (options.vocabulary > 0 && !options.architecture.empty()) {
            if (auto loaded = load(options, progress, true)) return loaded;
            spdlog::debug("{} is not loaded in parts", options.path);
        }
        return load(options, progress, false);
    }();
    if (!files->intact() || !files->in_place()) {
        return fail(ErrorCode::kLoadFailed, options.path + " was changed while it was loaded");
    }
    if (model) {
        (*model)->properties_.files = files->stamps();
        (*model)->impl_->files.emplace(std::move(*files));
    }
    return model;
}

bool Model::file_intact() const {
    return !impl_->files || impl_->files->intact();
}

Result<std::unique_ptr<Model>> Model::load(const LoadOptions& options, const std::function<void(float)>& progress,
                                           bool in_parts) {
    const auto threads = static_cast<int>(options.threads > 0 ? options.threads : std::thread::hardware_concurrency());
    kernels::set_repack_threads(threads);
    std::unique_ptr<Model> self(new Model());
    Impl& impl = *self->impl_;
    try {
        llama_model_params params = llama_model_default_params();
        const bool offload = options.gpu && llama_supports_gpu_offload();
        params.n_gpu_layers = offload ? 999 : 0;
        params.progress_callback = [](float fraction, void* user) {
            (*static_cast<const std::function<void(float)>*>(user))(fraction);
            return true;
        };
        params.progress_callback_user_data = const_cast<std::function<void(float)>*>(&progress);
        std::future<Vocabulary> words;
        if (in_parts) {
            words = std::async(std::launch::async, load_vocabulary, options.path, options.templates);
            impl.model = load_weights(options.path, params, options.architecture, options.vocabulary);
        } else {
            impl.model = load_file(options.path, params);
            if (impl.model == nullptr && offload) {
                spdlog::warn("{} did not load on the GPU ({}); using the CPU", options.path, last_llama_error());
                params.n_gpu_layers = 0;
                impl.model = load_file(options.path, params);
            }
        }
        self->properties_.on_gpu = params.n_gpu_layers > 0;
        if (impl.model == nullptr) {
            return fail(ErrorCode::kLoadFailed,
                        fmt::format("{} could not be loaded: {}", options.path, last_llama_error()));
        }
        if (llama_model_is_diffusion(impl.model.get())) {
            return fail(ErrorCode::kLoadFailed, options.path + " holds a model that writes no text from left to right");
        }
        if (llama_vocab_n_tokens(llama_model_get_vocab(impl.model.get())) == 0) {
            return fail(ErrorCode::kLoadFailed, options.path + " holds no vocabulary");
        }

        const bool recurrent = llama_model_is_recurrent(impl.model.get()) || llama_model_is_hybrid(impl.model.get());
        const int chains = chains_of(impl.model.get(), options, recurrent);
        const int training = llama_model_n_ctx_train(impl.model.get());
        int cells = static_cast<int>(options.context_tokens);
        if (cells == 0) {
            cells = static_cast<int>(
                default_kv_cells(static_cast<std::uint32_t>(std::max(training, 0)), options.batch_size));
        }
        llama_context_params context = llama_context_default_params();
        // llama.cpp works in steps of 256 cells. Some more than are handed out, for what passes through.
        cells = (cells + kSpareCells - 1) / kSpareCells * kSpareCells;
        context.n_ctx = static_cast<std::uint32_t>(cells + kSpareCells);
        context.n_batch = std::max(options.batch_tokens, static_cast<std::uint32_t>(chains));
        context.n_ubatch = std::min(context.n_batch, kMicroBatchTokens);
        context.n_seq_max = static_cast<std::uint32_t>(chains) + 1;
        context.n_threads = threads;
        context.n_threads_batch = threads;
        self->threads_ = threads;
        context.kv_unified = true;
        const auto kv = ggml_kv_type(options.kv_type);
        if (!kv) return fail(ErrorCode::kLoadFailed, fmt::format("there is no KV type {}", options.kv_type));
        context.type_k = context.type_v = *kv;
        context.no_perf = true;
        context.abort_callback = [](void* user) {
            const auto& check = static_cast<const Model*>(user)->abort_check_;
            return check != nullptr && check();
        };
        context.abort_callback_data = self.get();
        impl.context.reset(llama_init_from_model(impl.model.get(), context));
        if (impl.context == nullptr) {
            return fail(ErrorCode::kLoadFailed, fmt::format("{}: no memory for a context of {} tokens: {}",
                                                            options.path, cells, last_llama_error()));
        }

        if (in_parts) {
            impl.words = words.get();
            if (impl.words.model == nullptr) return fail(ErrorCode::kLoadFailed, "the vocabulary did not load");
            impl.vocab = llama_model_get_vocab(impl.words.model.get());
            if (std::cmp_not_equal(llama_vocab_n_tokens(impl.vocab), options.vocabulary)) {
                return fail(ErrorCode::kLoadFailed, "the vocabulary is not as large as it was said to be");
            }
        } else {
            impl.vocab = llama_model_get_vocab(impl.model.get());
        }

        if (impl.words.tokenizer == nullptr) impl.words.tokenizer = std::make_unique<Tokenizer>(impl.vocab);

        Properties& p = self->properties_;
        // An encoder needs no memory of what it read, and llama.cpp gives it none.
        p.generates = llama_model_has_decoder(impl.model.get()) && llama_get_memory(impl.context.get()) != nullptr;
        p.pooling = pooling_of(impl.context.get());
        p.embedding_width = llama_model_n_embd_out(impl.model.get());
        p.kv_cells = static_cast<int>(llama_n_ctx(impl.context.get())) - kSpareCells;
        p.context_per_sequence = std::min(p.kv_cells, training > 0 ? training : p.kv_cells);
        // A state takes no more for a longer chain: there is always room.
        if (llama_model_is_recurrent(impl.model.get())) p.kv_cells = chains * p.context_per_sequence;
        p.training_context = training;
        p.slots = static_cast<int>(llama_n_seq_max(impl.context.get())) - 1;
        p.vocabulary = llama_vocab_n_tokens(impl.vocab);
        const int window = llama_model_n_swa(impl.model.get());
        if (!recurrent) p.partial_removal_tokens = window > 0 ? window - 1 : std::numeric_limits<int>::max();
        p.fingerprint =
            kv_fingerprint_parts(impl.model.get(), {ggml_type_name(context.type_k), ggml_type_name(context.type_v),
                                                    uses_flash_attention(impl.context.get()), p.context_per_sequence});
        // A sliding window's state leaves out what it no longer sees, so that it could not be cut later.
        if (p.partial_removal_tokens == std::numeric_limits<int>::max()) {
            const auto of_head = static_cast<std::uint64_t>(llama_model_n_embd(impl.model.get()) /
                                                            std::max(1, llama_model_n_head(impl.model.get())));
            const std::uint64_t values = 2 * of_head *
                                         static_cast<std::uint64_t>(llama_model_n_head_kv(impl.model.get())) *
                                         static_cast<std::uint64_t>(llama_model_n_layer(impl.model.get()));
            p.state_bytes_per_token = ggml_row_size(context.type_k, static_cast<std::int64_t>(values)) + 16;
        }
        p.weights_bytes = llama_model_size(impl.model.get());
        p.parameters = llama_model_n_params(impl.model.get());
        char description[128];
        llama_model_desc(impl.model.get(), description, sizeof description);
        p.description = description;
        p.untouched_bytes = kernels::bytes_cleared_untouched();
        if (!p.generates) {
            p.state_bytes_per_token = 0;
            impl.context.reset();  // what it makes is made in a SideContext
            return self;
        }

        if (!in_parts) impl.words.take_template(make_chat_template(impl.model.get(), options.templates));
        // One that cannot be read counts: whoever sends a chat is to hear what is wrong with it.
        p.has_chat_template =
            impl.words.chat_template != nullptr || llama_model_chat_template(impl.model.get(), nullptr) != nullptr;
        impl.control_tokens_in_messages = options.control_tokens_in_messages;
        impl.batch = llama_batch_init(static_cast<std::int32_t>(context.n_batch), 0, 1);
    } catch (const std::exception& e) {
        return fail(ErrorCode::kLoadFailed, fmt::format("{} could not be loaded: {}", options.path, e.what()));
    }
    return self;
}

std::optional<Token> Model::token_named(std::string_view name) const {
    std::array<llama_token, 2> tokens{};
    const int n = llama_tokenize(vocab(), name.data(), static_cast<int>(name.size()), tokens.data(), 2, false, true);
    if (n != 1) return std::nullopt;
    return tokens[0];
}

bool Model::names_hidden_token(std::string_view text) const {
    return tokenizer().names_hidden_token(text);
}

const Tokenizer& Model::tokenizer() const {
    return *impl_->words.tokenizer;
}

Result<std::vector<Token>> Model::tokenize(const GenerationRequest& request, std::size_t most_tokens,
                                           const CancelCheck& cancelled) const {
    const Impl& impl = *impl_;
    if (const auto* ids = std::get_if<std::vector<Token>>(&request.prompt)) {
        const auto wrong = std::ranges::find_if(*ids, [&](Token id) { return id < 0 || id >= properties_.vocabulary; });
        if (wrong != ids->end()) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format("{} is no token of this model, which has {}", *wrong, properties_.vocabulary),
                        "prompt");
        }
        if (ids->empty()) return fail(ErrorCode::kInvalidArgument, "the prompt is empty", "prompt");
        if (ids->size() > most_tokens) {
            return fail(ErrorCode::kContextOverflow, fmt::format("the prompt has {} tokens", ids->size()), "prompt");
        }
        return *ids;
    }
    std::vector<TextRun> runs;
    std::vector<TextPart> parts;
    const auto* chat = std::get_if<Chat>(&request.prompt);
    if (chat != nullptr) {
        if (impl.words.chat_template == nullptr) return std::unexpected(impl.words.no_template);
        auto rendered = impl.words.chat_template->render(*chat, cancelled);
        if (!rendered) return std::unexpected(std::move(rendered.error()));
        runs = std::move(*rendered);
        for (const TextRun& run : runs) {
            parts.push_back({run.text, !run.from_message || impl.control_tokens_in_messages});
        }
    } else {
        parts.push_back({std::get<std::string>(request.prompt)});
    }
    const char* field = chat != nullptr ? "messages" : "prompt";
    Result<std::vector<Token>> tokens = impl.words.tokenizer->tokenize(parts, most_tokens, cancelled);
    if (!tokens) tokens.error().field = field;
    if (tokens && tokens->empty()) return fail(ErrorCode::kInvalidArgument, "the prompt is empty", field);
    return tokens;
}

void Model::append_piece(Token token, std::string& out) const {
    char buffer[256];
    const int n = llama_token_to_piece(impl_->vocab, token, buffer, sizeof buffer, 0, false);
    if (n >= 0) {
        out.append(buffer, static_cast<std::size_t>(n));
    } else {
        std::string large(static_cast<std::size_t>(-n), '\0');
        llama_token_to_piece(impl_->vocab, token, large.data(), -n, 0, false);
        out += large;
    }
}

std::string Model::piece(Token token) const {
    return piece_text(impl_->vocab, token);
}

llama_model* Model::handle() const {
    return impl_->model.get();
}
const llama_vocab* Model::vocab() const {
    return impl_->vocab;
}

const grammar::TokenTrie& Model::texts() const {
    std::call_once(impl_->texts_made, [this] {
        std::vector<std::string> texts(static_cast<std::size_t>(properties_.vocabulary));
        for (std::size_t i = 0; i < texts.size(); ++i) append_piece(static_cast<Token>(i), texts[i]);
        impl_->texts = std::make_unique<const grammar::TokenTrie>(std::move(texts));
    });
    return *impl_->texts;
}

bool Model::ends_generation(Token token) const {
    return llama_vocab_is_eog(impl_->vocab, token);
}

void Model::apply(const sched::KvOp& op) {
    llama_memory_t memory = llama_get_memory(impl_->context.get());
    if (const auto* fork = std::get_if<sched::Fork>(&op)) {
        const bool whole = llama_memory_seq_pos_max(memory, fork->from) == fork->n_tokens - 1;
        llama_memory_seq_cp(memory, fork->from, fork->to, whole ? -1 : 0, whole ? -1 : fork->n_tokens);
    } else if (const auto* trim = std::get_if<sched::Trim>(&op)) {
        llama_memory_seq_rm(memory, trim->slot, trim->n_tokens > 0 ? trim->n_tokens : -1, -1);
    }
}

Result<KvState> Model::save(sched::SlotId slot, int first, int n_tokens) {
    llama_context* context = impl_->context.get();
    llama_memory_t memory = llama_get_memory(context);
    const sched::SlotId passage = properties_.slots;
    llama_memory_seq_cp(memory, slot, passage, first, first + n_tokens);
    KvState state;
    state.size = llama_state_seq_get_size(context, passage);
    state.data.reset(new (std::nothrow) std::uint8_t[state.size]);
    const bool saved =
        state.data != nullptr && llama_state_seq_get_data(context, state.data.get(), state.size, passage) == state.size;
    llama_memory_seq_rm(memory, passage, -1, -1);
    if (!saved) return fail(ErrorCode::kInternal, "the KV state of a prefix could not be copied");
    return state;
}

bool Model::load(sched::SlotId slot, int begin, int first, int n_tokens, const KvState& state) {
    llama_context* context = impl_->context.get();
    llama_memory_t memory = llama_get_memory(context);
    const sched::SlotId passage = properties_.slots;
    const int end = first + n_tokens;
    const bool read = impl_->read_state(state, passage, begin) &&
                      llama_memory_seq_pos_max(memory, passage) >= end - 1 &&
                      llama_memory_seq_pos_max(memory, slot) == first - 1;
    if (read) llama_memory_seq_cp(memory, passage, slot, first, end);
    llama_memory_seq_rm(memory, passage, -1, -1);
    return read && llama_memory_seq_pos_max(memory, slot) == end - 1;
}

float* Model::logits_after(sched::SlotId slot, int n_tokens, Token last) {
    llama_memory_t memory = llama_get_memory(impl_->context.get());
    if (n_tokens > 1) llama_memory_seq_cp(memory, slot, properties_.slots, 0, n_tokens - 1);
    return logits_of_passage(n_tokens - 1, last);
}

float* Model::logits_after(sched::SlotId slot, int begin, int n_tokens, const KvState& state, Token last) {
    llama_context* context = impl_->context.get();
    llama_memory_t memory = llama_get_memory(context);
    const sched::SlotId passage = properties_.slots;
    const int end = begin + n_tokens;
    const bool read = impl_->read_state(state, passage, begin) &&
                      llama_memory_seq_pos_max(memory, passage) == end - 1 &&
                      llama_memory_seq_rm(memory, passage, end - 1, -1);
    if (!read) {
        llama_memory_seq_rm(memory, passage, -1, -1);
        return nullptr;
    }
    if (begin > 0) llama_memory_seq_cp(memory, slot, passage, 0, begin);
    return logits_of_passage(end - 1, last);
}

/// Computes one token at `position` behind what the passage holds, and empties it.
float* Model::logits_of_passage(int position, Token token) {
    const sched::SlotId passage = properties_.slots;
    sched::Step step;
    step.chunks.push_back({0, passage, position, 1, true});
    step.n_tokens = 1;
    const std::vector<Token> chain(static_cast<std::size_t>(position) + 1, token);  // only the last is looked at
    const Outcome outcome = decode(step, [&](sched::RequestId) -> const std::vector<Token>& { return chain; });
    llama_memory_seq_rm(llama_get_memory(impl_->context.get()), passage, -1, -1);
    return outcome == Outcome::kDone ? logits(0) : nullptr;
}

Model::Outcome Model::decode(const sched::Step& step,
                             const std::function<const std::vector<Token>&(sched::RequestId)>& chain) {
    llama_batch& batch = impl_->batch;
    batch.n_tokens = 0;
    impl_->output_rows.assign(step.chunks.size(), -1);
    std::vector<std::size_t> order(step.chunks.size());
    std::iota(order.begin(), order.end(), 0);
    // llama.cpp computes recurrent states together whose numbers follow one another.
    if (properties_.partial_removal_tokens == 0) {
        std::ranges::sort(order, {}, [&](std::size_t index) { return step.chunks[index].slot; });
    }
    for (const std::size_t index : order) {
        const sched::Chunk& chunk = step.chunks[index];
        const std::vector<Token>& tokens = chain(chunk.request);
        for (int i = 0; i < chunk.n_tokens; ++i) {
            const int row = batch.n_tokens++;
            batch.token[row] = tokens[chunk.first + i];
            batch.pos[row] = chunk.first + i;
            batch.n_seq_id[row] = 1;
            batch.seq_id[row][0] = chunk.slot;
            batch.logits[row] = 0;
        }
        if (!chunk.wants_logits) continue;
        batch.logits[batch.n_tokens - 1] = 1;
        impl_->output_rows[index] = batch.n_tokens - 1;
    }
    try {
        const int code = llama_decode(impl_->context.get(), batch);
        if (code == 0) {
            llama_synchronize(impl_->context.get());
            return Outcome::kDone;
        }
        if (code == 2) return Outcome::kAborted;
        spdlog::error("llama_decode failed with code {} ({} tokens): {}", code, step.n_tokens, last_llama_error());
    } catch (const std::exception& e) {
        spdlog::error("llama_decode threw: {}", e.what());
    }
    return Outcome::kFailed;
}

float* Model::logits(std::size_t chunk) const {
    return llama_get_logits_ith(impl_->context.get(), impl_->output_rows.at(chunk));
}

void Model::warm_up() {
    if (!properties_.generates) return;
    Token first = llama_vocab_bos(impl_->vocab);
    if (first == LLAMA_TOKEN_NULL) first = 0;
    const std::vector<Token> tokens(kWarmUpTokens + 1, first);
    const int prompt = std::min(kWarmUpTokens, properties_.context_per_sequence - 1);
    for (const sched::Chunk& chunk : {sched::Chunk{0, 0, 0, prompt, true}, sched::Chunk{0, 0, prompt, 1, true}}) {
        sched::Step step;
        step.chunks.push_back(chunk);
        step.n_tokens = chunk.n_tokens;
        if (decode(step, [&](sched::RequestId) -> const std::vector<Token>& { return tokens; }) != Outcome::kDone)
            break;
    }
    llama_memory_clear(llama_get_memory(impl_->context.get()), false);
}

}  // namespace sutazai::llama
