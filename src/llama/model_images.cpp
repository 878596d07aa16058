// Prompts with images in them, and the steps that compute them.
#include <fmt/format.h>
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "llama/image_marks.h"
#include "llama/model_impl.h"

namespace sutazai::llama {
namespace {

constexpr const char* kField = "messages";

std::unexpected<Error> refuse(std::string why) {
    return fail(ErrorCode::kInvalidArgument, std::move(why), kField);
}

/// While it lives, each row of a batch sees all others.
class SeeingAll {
  public:
    SeeingAll(llama_context* context, bool wanted) : context_(wanted ? context : nullptr) {
        if (context_ != nullptr) llama_set_causal_attn(context_, false);
    }
    ~SeeingAll() {
        if (context_ != nullptr) llama_set_causal_attn(context_, true);
    }
    SeeingAll(const SeeingAll&) = delete;
    SeeingAll& operator=(const SeeingAll&) = delete;

  private:
    llama_context* context_;
};

}  // namespace

Result<void> Model::add_image(const Image& image, std::size_t number, const CancelCheck& cancelled,
                              std::vector<Token>& tokens, PromptImages* images) const {
    auto seen = impl_->vision->see(image, images != nullptr, cancelled);
    if (!seen) {
        Error error = std::move(seen.error());
        if (error.code == ErrorCode::kInvalidArgument) {
            error.message = fmt::format("image {} of the {}: it {}", number + 1, kField, error.message);
            error.field = kField;
        }
        return std::unexpected(std::move(error));
    }
    for (const SeenImage::Piece& piece : (*seen)->pieces) {
        if (piece.is_rows && images != nullptr) {
            images->push_back(
                {static_cast<int>(tokens.size()), static_cast<int>(piece.tokens.size()), piece.whole, piece.rows});
        }
        tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
    }
    return {};
}

Result<std::vector<Token>> Model::tokenize_seen(const GenerationRequest& request, std::size_t most_tokens,
                                                const CancelCheck& cancelled, PromptImages* images) const {
    const Impl& impl = *impl_;
    if (impl.vision == nullptr) return refuse("this model takes no images: it has no projector");
    if (!properties_.sees) return refuse("this model takes no images: " + impl.vision->refusal());
    if (request.task != Task::kGenerate && request.task != Task::kRead) return refuse("images are for chats only");
    if (!request.context.empty()) {
        return fail(ErrorCode::kInvalidArgument, "a context does not go with images", "context");
    }
    const auto& chat = std::get<Chat>(request.prompt);
    const std::vector<SharedImage> all = images_of(chat);
    const std::string word = unused_word(chat);
    const auto runs = render(with_marks(chat, word, true), request.chat_template, cancelled);
    if (!runs) return std::unexpected(runs.error());
    const std::vector<Stretch> stretches = split_at_marks(*runs, word);
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (std::ranges::find(stretches, i, &Stretch::image) != stretches.end()) continue;
        return refuse(fmt::format("the model's chat template leaves out image {}", i + 1));
    }

    std::vector<Token> tokens;
    const auto too_long = [&]() -> std::unexpected<Error> {
        return fail(ErrorCode::kContextOverflow, fmt::format("the prompt has at least {} tokens", tokens.size()),
                    kField);
    };
    for (const Stretch& stretch : stretches) {
        std::vector<TextPart> parts;
        parts.reserve(stretch.runs.size());
        for (const TextRun& run : stretch.runs) {
            parts.push_back({run.text, !run.from_message || impl.control_tokens_in_messages});
        }
        auto text = impl.words.tokenizer->tokenize_bare(parts, most_tokens, cancelled);
        if (!text) {
            text.error().field = kField;
            return text;
        }
        const Token begin = llama_vocab_bos(impl.vocab);
        const bool is_begun = !text->empty() && text->front() == begin;
        if (&stretch == stretches.data() && llama_vocab_get_add_bos(impl.vocab) && !is_begun) tokens.push_back(begin);
        tokens.insert(tokens.end(), text->begin(), text->end());
        if (tokens.size() > most_tokens) return too_long();
        if (stretch.image >= all.size()) continue;
        auto added = add_image(*all[stretch.image], stretch.image, cancelled, tokens, images);
        if (!added) return std::unexpected(std::move(added.error()));
        if (tokens.size() > most_tokens) return too_long();
    }
    if (tokens.empty() || tokens.back() < 0) return refuse("there must be text behind the last image");
    return tokens;
}

/// The chunks of a step that are rows of images, each as a batch of its own: llama.cpp mixes them with no tokens.
Model::Outcome Model::decode_images(const sched::Step& step,
                                    const std::function<const std::vector<Token>&(sched::RequestId)>& chain) {
    for (const sched::Chunk& chunk : step.chunks) {
        if (chain(chunk.request)[static_cast<std::size_t>(chunk.first)] >= 0) continue;
        const PromptImages* images = images_of_ == nullptr ? nullptr : images_of_(chunk.request);
        const auto holds = [&](const ImageRun& run) {
            return run.first <= chunk.first && chunk.first + chunk.n_tokens <= run.first + run.n_tokens;
        };
        const auto run = images == nullptr ? PromptImages::const_iterator() : std::ranges::find_if(*images, holds);
        if (images == nullptr || run == images->end() || run->rows == nullptr) {
            spdlog::error("a step holds rows of an image that its request does not have");
            return Outcome::kFailed;
        }
        if (const Outcome outcome = decode_rows(chunk, *run); outcome != Outcome::kDone) return outcome;
    }
    return Outcome::kDone;
}

Model::Outcome Model::decode_rows(const sched::Chunk& chunk, const ImageRun& run) {
    llama_context* context = impl_->context.get();
    const auto n = static_cast<std::size_t>(chunk.n_tokens);
    const std::size_t width = run.rows->size() / static_cast<std::size_t>(run.n_tokens);
    llama_seq_id slot = chunk.slot;
    std::vector<llama_pos> positions(n);
    std::vector<std::int32_t> slots_of(n, 1);
    std::vector<llama_seq_id*> slots(n, &slot);
    std::vector<std::int8_t> wanted(n, 0);
    for (std::size_t i = 0; i < n; ++i) positions[i] = chunk.first + static_cast<llama_pos>(i);
    llama_batch batch{};
    batch.n_tokens = chunk.n_tokens;
    // llama.cpp only reads them.
    batch.embd = const_cast<float*>(run.rows->data()) + static_cast<std::size_t>(chunk.first - run.first) * width;
    batch.pos = positions.data();
    batch.n_seq_id = slots_of.data();
    batch.seq_id = slots.data();
    batch.logits = wanted.data();
    const SeeingAll seeing(context, run.whole);
    return decode_batch(batch);
}

}  // namespace sutazai::llama
