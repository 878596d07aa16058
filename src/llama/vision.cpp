#include "llama/vision.h"

#include <fmt/format.h>
#include <gguf.h>
#include <llama.h>
#include <mtmd-helper.h>
#include <mtmd.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <random>
#include <span>
#include <string_view>
#include <utility>

#include "llama/llama_log.h"

namespace sutazai::llama {
namespace {

/// While an image is encoded, it is asked after so many of its operations whether it is still wanted.
constexpr int kOperationsBetweenChecks = 16;

struct GgufDeleter {
    void operator()(gguf_context* file) const { gguf_free(file); }
};

/// Names of what the projector is, as its file has them: "gemma3", "pixtral".
std::vector<std::string> kinds_in(const std::string& path) {
    const std::unique_ptr<gguf_context, GgufDeleter> file(
        gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
    std::vector<std::string> kinds;
    for (const char* key : {"clip.projector_type", "clip.vision.projector_type"}) {
        const std::int64_t at = file == nullptr ? -1 : gguf_find_key(file.get(), key);
        if (at >= 0 && gguf_get_kv_type(file.get(), at) == GGUF_TYPE_STRING) {
            kinds.emplace_back(gguf_get_val_str(file.get(), at));
        }
    }
    return kinds;
}

/// What llama.cpp does with images that is not done here: positions that are no plain numbers, rows that depend on
/// where in the prompt the image is.
std::string refusal_of(const std::string& path, const llama_model* model, const mtmd_context* context) {
    const auto rope = llama_model_rope_type(model);
    if (rope == LLAMA_ROPE_TYPE_MROPE || rope == LLAMA_ROPE_TYPE_IMROPE || mtmd_decode_use_mrope(context)) {
        return "its images have positions of several dimensions (M-RoPE), which are not supported";
    }
    for (const std::string& kind : kinds_in(path)) {
        if (kind == "hunyuanvl" || kind == "hunyuan_vl" || kind == "deepseek4v") {
            return fmt::format("its projector is a {}, which is not supported", kind);
        }
    }
    if (!mtmd_support_vision(context)) return "its projector is not one of images";
    return {};
}

}  // namespace

struct Vision::Impl {
    Options options;
    const llama_model* model = nullptr;
    mtmd::context_ptr context;
    std::size_t width = 0;               ///< of a row
    std::array<std::byte, 32> secret{};  ///< nobody can tell which tokens an image will have

    std::mutex encoding;  ///< held while an image is encoded
    const CancelCheck* cancelled = nullptr;
    int operations = 0;
    bool stopped = false;

    mutable std::mutex mutex;                                             ///< of what follows
    std::list<std::pair<Digest, std::shared_ptr<const SeenImage>>> kept;  ///< used last first
    std::unordered_map<Digest, decltype(kept)::iterator, DigestHash> by_digest;
    std::uint64_t kept_bytes = 0;
    std::uint64_t encoded = 0;

    /// Of ggml's scheduler: before an operation, whether it is to stop behind it; then, whether it may go on.
    static bool on_operation(ggml_tensor* /*operation*/, bool asks, void* user) {
        Impl& self = *static_cast<Impl*>(user);
        if (asks) return ++self.operations % kOperationsBetweenChecks == 0;
        self.stopped = self.stopped || (*self.cancelled && (*self.cancelled)());
        return !self.stopped;
    }

    [[nodiscard]] std::uint64_t bytes_of(const SeenImage& seen) const {
        return (seen.has_rows ? seen.n_tokens * width * sizeof(float) : 0) + seen.n_tokens * sizeof(sched::Token);
    }

    /// Pseudo-random numbers of 31 bits, the same for the same image, made negative.
    [[nodiscard]] std::vector<sched::Token> tokens_for(const Digest& image, std::uint32_t chunk, std::size_t n) const {
        std::vector<sched::Token> tokens;
        tokens.reserve(n + 8);
        for (std::uint32_t block = 0; tokens.size() < n; ++block) {
            Sha256 sum;
            sum.add(secret);
            sum.add(image);
            sum.add_u32(chunk);
            sum.add_u32(block);
            const Digest digest = sum.finish();
            for (std::size_t at = 0; at < digest.size(); at += sizeof(std::uint32_t)) {
                std::uint32_t word = 0;
                std::memcpy(&word, digest.data() + at, sizeof word);
                tokens.push_back(static_cast<sched::Token>(word | 0x80000000U));
            }
        }
        tokens.resize(n);
        return tokens;
    }
};

Vision::Vision() : impl_(std::make_unique<Impl>()) {}
Vision::~Vision() = default;

Result<std::unique_ptr<Vision>> Vision::load(const Options& options, const llama_model* model) {
    mtmd_helper_log_set(llama_log, nullptr);
    std::unique_ptr<Vision> self(new Vision());
    Impl& impl = *self->impl_;
    impl.options = options;
    impl.model = model;
    impl.width = static_cast<std::size_t>(llama_model_n_embd_inp(model));
    std::random_device random;
    for (std::byte& byte : impl.secret) byte = static_cast<std::byte>(random());
    mtmd_context_params params = mtmd_context_params_default();
    params.use_gpu = false;
    params.print_timings = false;
    params.n_threads = options.threads;
    params.warmup = false;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.cb_eval = Impl::on_operation;
    params.cb_eval_user_data = &impl;
    impl.context.reset(mtmd_init_from_file(options.path.c_str(), model, params));
    if (impl.context == nullptr) {
        return fail(ErrorCode::kLoadFailed,
                    fmt::format("the projector {} could not be loaded: {}", options.path, last_llama_error()));
    }
    self->refusal_ = refusal_of(options.path, model, impl.context.get());
    if (!self->refusal_.empty()) spdlog::warn("this model takes no images: {}", self->refusal_);
    return self;
}

std::uint64_t Vision::encoded() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->encoded;
}

std::shared_ptr<const SeenImage> Vision::find(const Digest& digest, bool encodes) const {
    const std::lock_guard lock(impl_->mutex);
    const auto found = impl_->by_digest.find(digest);
    if (found == impl_->by_digest.end() || (encodes && !found->second->second->has_rows)) return nullptr;
    impl_->kept.splice(impl_->kept.begin(), impl_->kept, found->second);
    return found->second->second;
}

void Vision::keep(const Digest& digest, const std::shared_ptr<const SeenImage>& seen) const {
    const std::lock_guard lock(impl_->mutex);
    if (seen->has_rows) ++impl_->encoded;
    const auto drop = [&](auto entry) {
        impl_->kept_bytes -= impl_->bytes_of(*entry->second);
        impl_->by_digest.erase(entry->first);
        impl_->kept.erase(entry);
    };
    if (const auto found = impl_->by_digest.find(digest); found != impl_->by_digest.end()) drop(found->second);
    const std::uint64_t bytes = impl_->bytes_of(*seen);
    if (bytes > impl_->options.most_kept_bytes) return;
    impl_->kept.emplace_front(digest, seen);
    impl_->by_digest[digest] = impl_->kept.begin();
    impl_->kept_bytes += bytes;
    while (impl_->kept_bytes > impl_->options.most_kept_bytes) drop(std::prev(impl_->kept.end()));
}

Result<std::shared_ptr<const SeenImage>> Vision::see(const Image& image, bool encodes,
                                                     const CancelCheck& cancelled) const {
    if (auto known = find(image.digest, encodes)) return known;
    const std::lock_guard lock(impl_->encoding);
    // Somebody else may have read it meanwhile.
    if (auto known = find(image.digest, encodes)) return known;
    if (cancelled && cancelled()) return fail(ErrorCode::kCancelled, "the request was cancelled");
    impl_->cancelled = &cancelled;
    impl_->operations = 0;
    impl_->stopped = false;
    Result<std::shared_ptr<const SeenImage>> seen = fail(ErrorCode::kInternal, "an image could not be read");
    try {
        seen = read(image, encodes);
    } catch (const std::exception& thrown) {
        seen = fail(ErrorCode::kInternal, fmt::format("an image could not be read: {}", thrown.what()));
    }
    if (impl_->stopped) return fail(ErrorCode::kCancelled, "the request was cancelled");
    if (seen) keep(image.digest, *seen);
    return seen;
}

Result<std::shared_ptr<const SeenImage>> Vision::read(const Image& image, bool encodes) const {
    mtmd_context* context = impl_->context.get();
    const auto* bytes = reinterpret_cast<const unsigned char*>(image.bytes.data());
    const mtmd::bitmap bitmap(
        mtmd_helper_bitmap_init_from_buf(context, bytes, image.bytes.size(), false, mtmd_helper_init_opt_default())
            .bitmap);
    if (bitmap.ptr == nullptr) {
        return fail(ErrorCode::kInvalidArgument, "could not be decoded: it is damaged, or cut off");
    }
    const mtmd_input_part part{nullptr, bitmap.ptr.get()};
    const std::array<const mtmd_input_part*, 1> parts{&part};
    const mtmd::input_chunks chunks(mtmd_input_chunks_init());
    if (mtmd_tokenize_from_parts(context, chunks.ptr.get(), parts.data(), parts.size(), false) != 0) {
        return fail(ErrorCode::kInvalidArgument, "is no image that this model's projector takes");
    }
    auto seen = std::make_shared<SeenImage>();
    seen->has_rows = encodes;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
        const mtmd_input_chunk* chunk = chunks[i];
        SeenImage::Piece& piece = seen->pieces.emplace_back();
        const std::size_t n = mtmd_input_chunk_get_n_tokens(chunk);
        seen->n_tokens += n;
        if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_TEXT) {
            std::size_t n_text = 0;
            const llama_token* tokens = mtmd_input_chunk_get_tokens_text(chunk, &n_text);
            piece.tokens.assign(tokens, tokens + n_text);
            continue;
        }
        piece.is_rows = true;
        piece.whole = mtmd_decode_use_non_causal(context, chunk);
        piece.tokens = impl_->tokens_for(image.digest, static_cast<std::uint32_t>(i), n);
        if (std::cmp_not_equal(mtmd_input_chunk_get_n_pos(chunk), n)) {
            return fail(ErrorCode::kInvalidArgument, "has positions of several dimensions, which are not supported");
        }
        if (piece.whole && std::cmp_greater(n, impl_->options.most_rows_at_once)) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format("takes {} rows that are computed in one batch; at most {} can be", n,
                                    impl_->options.most_rows_at_once));
        }
        if (!encodes) continue;
        const int failed = mtmd_encode_chunk(context, chunk);
        if (impl_->stopped) return fail(ErrorCode::kCancelled, "the request was cancelled");
        if (failed != 0) {
            return fail(ErrorCode::kInternal, fmt::format("an image could not be encoded: {}", last_llama_error()));
        }
        const float* rows = mtmd_get_output_embd(context);
        piece.rows = std::make_shared<const std::vector<float>>(rows, rows + n * impl_->width);
    }
    return seen;
}

}  // namespace sutazai::llama
