// From a file to a model: its weights, and a context for as many sequences as are to run.
#include <fmt/format.h>
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <future>
#include <limits>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "base/file_guard.h"
#include "base/kv_cells.h"
#include "base/kv_types.h"
#include "kernels/cpu_level.h"
#include "kernels/stand_ins.h"
#include "llama/chat_form.h"
#include "llama/kv_fingerprint.h"
#include "llama/llama_log.h"
#include "llama/model_impl.h"
#include "llama/read_ahead.h"
#include "llama/sibling_weights.h"

namespace sutazai::llama {
namespace {

constexpr std::uint32_t kMicroBatchTokens = 512;  // and rows of an image that are computed together
constexpr int kSpareCells = 256;
constexpr int kKeptChains = 64;  // chains of finished requests beside the running ones
constexpr int kLeastKeptChains = 4;
/// What the states of a recurrent model's chains may take at most, if that is enough for those that usually run: so
/// much, or so much of the weights.
constexpr std::uint64_t kStatesBytes = 256ULL << 20;
constexpr std::uint64_t kStatesShareOfWeights = 4;

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
    auto translated = gguf::VirtualFile::translated(options.path);
    if (!translated) {
        return fail(ErrorCode::kLoadFailed,
                    fmt::format("{} could not be loaded: {}", options.path, translated.error().message));
    }
    const ModelSource source{options.path, std::move(*translated)};
    if (source.translated) {
        spdlog::info("{} is read as llama.cpp expects it ({})", options.path, source.translated->translation().id());
    }
    auto model = [&]() -> Result<std::unique_ptr<Model>> {
        // A projector looks for its words in the weights' own vocabulary.
        if (options.vocabulary > 0 && !options.architecture.empty() && options.projector.empty()) {
            if (auto loaded = load(options, source, files->stamps(), progress, true)) return loaded;
            spdlog::debug("{} is not loaded in parts", options.path);
        }
        return load(options, source, files->stamps(), progress, false);
    }();
    if (!files->intact() || !files->in_place()) {
        return fail(ErrorCode::kLoadFailed, options.path + " was changed while it was loaded");
    }
    if (model) {
        (*model)->properties_.files = files->stamps();
        if (source.translated) (*model)->properties_.fingerprint.translation = source.translated->translation().id();
        (*model)->impl_->files.emplace(std::move(*files));
        (*model)->publish_weights();
    }
    return model;
}

/// Not before it is known that the files are what they were.
void Model::publish_weights() {
    if (!impl_->share) return;
    impl_->share->publish();
    const kernels::WeightMemory* memory = impl_->share->memory();
    if (memory == nullptr) return;
    properties_.shared.fd = memory->fd();
    properties_.shared.id = memory->id();
    properties_.shared.bytes = impl_->share->shared_bytes();
    if (!impl_->share->starts_from_sibling()) properties_.shared.sibling.clear();
}

Result<std::unique_ptr<Model>> Model::load(const LoadOptions& options, const ModelSource& source,
                                           const FileStamps& stamps, const std::function<void(float)>& progress,
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
        std::optional<kernels::WeightShare::Use> use;
        std::optional<ReadAhead> read_ahead;
        if (options.share_weights) {
            SiblingWeights weights = sibling_weights(options, source, stamps);
            self->properties_.shared.sibling = std::move(weights.sibling);
            impl.share.emplace(std::move(weights.share));
            use.emplace(*impl.share);
            if (impl.share->starts_from_sibling()) read_ahead.emplace(options.path, std::move(weights.spared));
        }
        std::future<Vocabulary> words;
        if (in_parts) {
            words = std::async(std::launch::async, load_vocabulary, std::cref(source), options.templates);
            impl.model = load_weights(source, params, options.architecture, options.vocabulary);
        } else {
            impl.model = load_file(source, params);
            if (impl.model == nullptr && offload) {
                spdlog::warn("{} did not load on the GPU ({}); using the CPU", options.path, last_llama_error());
                params.n_gpu_layers = 0;
                impl.model = load_file(source, params);
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
        if (!options.projector.empty()) context.n_batch = std::max(context.n_batch, kMicroBatchTokens);
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

        impl.shelf = std::make_unique<AdapterShelf>(impl.model.get(), options.adapter_bytes);
        impl.places = std::make_unique<AdapterPlaces>(impl.model.get(), impl.context.get());

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
        if (impl.words.chat_template != nullptr) {
            if (const ChatForms* forms = impl.words.chat_template->forms()) {
                p.knows_tools = forms->knows_tools();
                p.thinks = forms->thinks();
            }
        }
        if (!options.projector.empty()) {
            auto vision = Vision::load({.path = options.projector,
                                        .threads = threads,
                                        .most_rows_at_once = static_cast<int>(kMicroBatchTokens)},
                                       impl.model.get());
            if (!vision) return std::unexpected(std::move(vision.error()));
            p.sees = (*vision)->refusal().empty();
            impl.vision = std::move(*vision);
        }
        impl.control_tokens_in_messages = options.control_tokens_in_messages;
        impl.batch = llama_batch_init(static_cast<std::int32_t>(context.n_batch), 0, 1);
    } catch (const std::exception& e) {
        return fail(ErrorCode::kLoadFailed, fmt::format("{} could not be loaded: {}", options.path, e.what()));
    }
    return self;
}

}  // namespace sutazai::llama
