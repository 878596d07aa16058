#include "llama/model.h"

#include <fmt/format.h>
#include <llama.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <exception>
#include <new>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "grammar/token_trie.h"
#include "llama/chain_sampler.h"
#include "llama/chat_form.h"
#include "llama/image_marks.h"
#include "llama/infill.h"
#include "llama/llama_log.h"
#include "llama/model_impl.h"
#include "llama/quick_sampler.h"
#include "llama/rank_prompt.h"
#include "llama/vocabulary.h"

namespace sutazai::llama {

namespace {

constexpr int kWarmUpTokens = 4;  // of the prompt: as many rows as the kernels for many rows take at a time

}  // namespace

Model::Model() : impl_(std::make_unique<Impl>()) {}
Model::~Model() = default;

bool Model::file_intact() const {
    return !impl_->files || impl_->files->intact();
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

namespace {

Result<void> check_tokens(std::span<const Token> ids, int vocabulary, const char* field) {
    const auto wrong = std::ranges::find_if(ids, [&](Token id) { return id < 0 || id >= vocabulary; });
    if (wrong == ids.end()) return {};
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is no token of this model, which has {}", *wrong, vocabulary), field);
}

/// What is left of the context for a prompt that may be trimmed: the answer gets up to a quarter.
std::size_t room(const GenerationRequest& request, std::size_t most_tokens) {
    return most_tokens - std::min(most_tokens / 4, static_cast<std::size_t>(std::max(request.max_tokens, 0)));
}

}  // namespace

Result<std::vector<TextRun>> Model::render(const Chat& chat, const std::string& other,
                                           const CancelCheck& cancelled) const {
    const Vocabulary& words = impl_->words;
    if (other.empty()) {
        if (words.chat_template == nullptr) return std::unexpected(words.no_template);
        return words.chat_template->render(chat, cancelled);
    }
    auto chosen = go_template(other);
    auto runs = chosen ? (*chosen)->render(chat, cancelled) : std::unexpected(chosen.error());
    if (!runs) runs.error().field = "template";
    return runs;
}

/// The file's own; empty: it has none.
std::string Model::rank_template() const {
    const char* text = llama_model_chat_template(handle(), "rerank");
    return text == nullptr ? std::string() : text;
}

Result<std::string> Model::chat_text(const GenerationRequest& request, const CancelCheck& cancelled) const {
    const Chat chat = with_marks(std::get<Chat>(request.prompt), kImageWord, false);
    const auto runs = render(chat, request.chat_template, cancelled);
    if (!runs) return std::unexpected(runs.error());
    std::string text;
    for (const TextRun& run : *runs) text += run.text;
    return text;
}

Result<std::vector<Token>> Model::tokenize_prompt(const GenerationRequest& request, std::size_t most_tokens,
                                                  const CancelCheck& cancelled) const {
    const Impl& impl = *impl_;
    const bool cuts = request.truncate && request.task == Task::kEmbed;
    if (const auto* ids = std::get_if<std::vector<Token>>(&request.prompt)) {
        if (auto known = check_tokens(*ids, properties_.vocabulary, "prompt"); !known) {
            return std::unexpected(std::move(known.error()));
        }
        if (ids->size() > most_tokens && cuts)
            return std::vector<Token>(ids->begin(), ids->begin() + static_cast<std::ptrdiff_t>(most_tokens));
        if (ids->size() > most_tokens) {
            return fail(ErrorCode::kContextOverflow, fmt::format("the prompt has {} tokens", ids->size()), "prompt");
        }
        return *ids;
    }
    const char* field = "prompt";
    if (const auto* pair = std::get_if<RankedPair>(&request.prompt)) {
        auto tokens = read_pair(*impl.words.tokenizer, impl.vocab, rank_template(), *pair, most_tokens, cancelled);
        if (!tokens) tokens.error().field = field;
        return tokens;
    }
    if (const auto* bare = std::get_if<BareText>(&request.prompt); bare != nullptr && !bare->around) {
        auto tokens = impl.words.tokenizer->tokenize_bare({bare->text, bare->special}, most_tokens, cancelled);
        if (!tokens) tokens.error().field = field;
        return tokens;
    }
    bool names_count = false;
    Result<std::vector<TextRun>> runs;
    std::vector<TextPart> parts;
    if (const auto* chat = std::get_if<Chat>(&request.prompt)) {
        field = "messages";
        names_count = impl.control_tokens_in_messages;
        runs = render(*chat, request.chat_template, cancelled);
    } else if (const auto* infill = std::get_if<Infill>(&request.prompt)) {
        const Tokenizer& words = *impl.words.tokenizer;
        if (infill->trims)
            return trimmed_around_a_gap(words, impl.vocab, *infill, room(request, most_tokens), cancelled);
        runs = around_a_gap(words, impl.vocab, *infill);
    } else if (const auto* bare = std::get_if<BareText>(&request.prompt)) {
        parts.push_back({bare->text, bare->special});
    } else {
        parts.push_back({std::get<std::string>(request.prompt)});
    }
    if (!runs) return std::unexpected(std::move(runs.error()));
    for (const TextRun& run : *runs) parts.push_back({run.text, !run.from_message || names_count});
    const auto too_long = cuts ? TooLong::kCut : TooLong::kRefuse;
    auto tokens = impl.words.tokenizer->tokenize(parts, most_tokens, cancelled, too_long);
    if (!tokens) tokens.error().field = field;
    return tokens;
}

Result<std::vector<Token>> Model::tokenize(const GenerationRequest& request, std::size_t most_tokens,
                                           const CancelCheck& cancelled, PromptImages* images) const {
    if (images != nullptr) images->clear();
    const auto* chat = std::get_if<Chat>(&request.prompt);
    if (chat != nullptr && !images_of(*chat).empty()) return tokenize_seen(request, most_tokens, cancelled, images);
    const std::vector<Token>& before = request.context;
    if (auto known = check_tokens(before, properties_.vocabulary, "context"); !known) {
        return std::unexpected(std::move(known.error()));
    }
    if (before.size() > most_tokens) {
        return fail(ErrorCode::kContextOverflow, fmt::format("the context has {} tokens", before.size()), "context");
    }
    auto tokens = tokenize_prompt(request, most_tokens - before.size(), cancelled);
    if (!tokens) {
        if (!before.empty() && tokens.error().code == ErrorCode::kContextOverflow) {
            tokens.error().message += fmt::format(" behind {} of context", before.size());
        }
        return tokens;
    }
    if (tokens->empty() && request.task != Task::kRead) {
        const bool is_chat = std::holds_alternative<Chat>(request.prompt);
        return fail(ErrorCode::kInvalidArgument, "the prompt is empty", is_chat ? "messages" : "prompt");
    }
    if (before.empty() || tokens->empty()) return tokens;
    // What begins a text has begun the context.
    if (llama_vocab_get_add_bos(impl_->vocab) && tokens->front() == llama_vocab_bos(impl_->vocab)) {
        tokens->erase(tokens->begin());
    }
    tokens->insert(tokens->begin(), before.begin(), before.end());
    return tokens;
}

std::unique_ptr<Sampler> Model::sampler(const SamplingParams& params) const {
    if (changes_chain(params)) return std::make_unique<ChainSampler>(params, impl_->vocab);
    return std::make_unique<QuickSampler>(params);
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

const grammar::TokenTrie& Model::form_texts() const {
    std::call_once(impl_->form_texts_made, [this] {
        const ChatTemplate* chat_template = impl_->words.chat_template.get();
        const ChatForms* forms = chat_template == nullptr ? nullptr : chat_template->forms();
        if (forms == nullptr) return;
        std::vector<std::pair<Token, std::string>> hidden;
        for (const std::string& name : forms->marks_by_name()) {
            if (!names_hidden_token(name)) continue;
            if (const auto token = token_named(name)) hidden.emplace_back(*token, name);
        }
        if (hidden.empty()) return;
        std::vector<std::string> all(static_cast<std::size_t>(properties_.vocabulary));
        for (std::size_t i = 0; i < all.size(); ++i) append_piece(static_cast<Token>(i), all[i]);
        for (auto& [token, name] : hidden) all[static_cast<std::size_t>(token)] = std::move(name);
        impl_->form_texts = std::make_unique<const grammar::TokenTrie>(std::move(all));
    });
    return impl_->form_texts != nullptr ? *impl_->form_texts : texts();
}

Result<std::shared_ptr<const ChatForm>> Model::chat_form(const GenerationRequest& request) const {
    const auto* chat = std::get_if<Chat>(&request.prompt);
    if (chat == nullptr) return nullptr;
    const ChatTemplate* chat_template = impl_->words.chat_template.get();
    ChatForms* forms = chat_template == nullptr || !request.chat_template.empty() ? nullptr : chat_template->forms();
    if (forms != nullptr) return forms->of(*chat, request.cache_salt);
    if (chat->tools.empty()) return nullptr;
    return fail(ErrorCode::kInvalidArgument, "tools are unknown to this model's chat template", "tools");
}

std::vector<Token> Model::tokens_of_text(std::string_view text) const {
    std::vector<llama_token> tokens(text.size() + 8);
    const int n = llama_tokenize(vocab(), text.data(), static_cast<int>(text.size()), tokens.data(),
                                 static_cast<int>(tokens.size()), false, true);
    tokens.resize(static_cast<std::size_t>(std::max(n, 0)));
    return tokens;
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
    impl_->output_rows.assign(step.chunks.size(), -1);
    if (const Outcome outcome = decode_images(step, chain); outcome != Outcome::kDone) return outcome;
    if (adapters_of_ != nullptr && impl_->shelf->was_used()) {
        std::vector<const AdapterSet*> sets;
        sets.reserve(step.chunks.size());
        for (const sched::Chunk& chunk : step.chunks) sets.push_back(adapters_of_(chunk.request));
        if (impl_->places->ready_for(sets, *impl_->shelf)) return decode_adapted(step, sets, chain);
    }
    llama_batch& batch = impl_->batch;
    batch.n_tokens = 0;
    std::vector<std::size_t> order(step.chunks.size());
    std::iota(order.begin(), order.end(), 0);
    // llama.cpp computes recurrent states together whose numbers follow one another.
    if (properties_.partial_removal_tokens == 0) {
        std::ranges::sort(order, {}, [&](std::size_t index) { return step.chunks[index].slot; });
    }
    for (const std::size_t index : order) {
        const sched::Chunk& chunk = step.chunks[index];
        const std::vector<Token>& tokens = chain(chunk.request);
        if (tokens[chunk.first] < 0) continue;
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
    return batch.n_tokens == 0 ? Outcome::kDone : decode_batch(batch);
}

Model::Outcome Model::decode_batch(const llama_batch& batch) {
    try {
        const int code = llama_decode(impl_->context.get(), batch);
        if (code == 0) {
            llama_synchronize(impl_->context.get());
            return Outcome::kDone;
        }
        if (code == 2) return Outcome::kAborted;
        spdlog::error("llama_decode failed with code {} ({} tokens): {}", code, batch.n_tokens, last_llama_error());
    } catch (const std::exception& e) {
        spdlog::error("llama_decode threw: {}", e.what());
    }
    return Outcome::kFailed;
}

Result<std::shared_ptr<const AdapterSet>> Model::open_adapters(std::span<const AdapterChoice> wanted) const {
    return impl_->shelf->open(wanted);
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
