#include "engine/testing/fake_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "llama/adapters.h"

namespace sutazai::engine {
namespace {

using llama::KvState;
using llama::SideContext;

constexpr std::uint64_t kSeed = 0xcbf29ce484222325;

std::uint64_t mixed(std::uint64_t hash, Token token) {
    return (hash ^ static_cast<std::uint64_t>(token + 1)) * 0x100000001b3;
}

std::uint64_t hash_of(std::span<const Token> sequence) {
    std::uint64_t hash = kSeed;
    for (const Token token : sequence) hash = mixed(hash, token);
    return hash;
}

/// Marks of adapters stand above a token's own bits.
constexpr int kTokenBits = 9;

/// Keys of sets: a number and ten times the scale each.
std::string key_of(std::span<const AdapterChoice> adapters) {
    std::string key;
    for (const AdapterChoice& adapter : adapters) {
        if (adapter.scale != 0) key += adapter.path + "*" + std::to_string(std::lround(10 * adapter.scale)) + " ";
    }
    return key;
}

Token marked(Token token, std::string_view key) {
    std::uint32_t mark = 0;
    for (const char c : key) mark = mark * 31 + static_cast<unsigned char>(c);
    return token | static_cast<Token>((mark & 0xFFFFFU) << kTokenBits);
}

Token unmarked(Token token) {
    return token & ((1 << kTokenBits) - 1);
}

Token next_after(std::uint64_t hash) {
    return static_cast<Token>('a' + (hash >> 32) % 26);
}

std::vector<float> row_after(std::span<const Token> sequence) {
    std::vector<float> row(FakeModel::kVocabulary, 0.0F);
    const std::uint64_t hash = hash_of(sequence);
    row[static_cast<std::size_t>(next_after(hash))] = 10;
    // So that canaries tell one token sequence from another.
    for (std::size_t i = 0; i < 8; ++i) row[(hash >> (8 * i)) % 256] += 0.5F;
    return row;
}

std::span<const Token> tokens_of(const KvState& state) {
    return {reinterpret_cast<const Token*>(state.data.get()), state.size / sizeof(Token)};
}

/// What its tokens write.
std::vector<std::string> single_bytes() {
    std::vector<std::string> texts;
    for (int byte = 0; byte < FakeModel::kEnd; ++byte) texts.emplace_back(1, static_cast<char>(byte));
    texts.emplace_back();
    return texts;
}

/// One job a turn.
class FakeSideContext final : public SideContext {
  public:
    explicit FakeSideContext(Kind kind) : kind_(kind) {}
    void add(Job job) override { jobs_.push_back(std::move(job)); }
    bool cancel(RequestId id) override {
        return std::erase_if(jobs_, [&](const Job& job) { return job.id == id; }) > 0;
    }
    [[nodiscard]] std::vector<RequestId> expire(std::chrono::steady_clock::time_point /*bound*/) override { return {}; }
    [[nodiscard]] int open() const override { return static_cast<int>(jobs_.size()); }
    [[nodiscard]] std::vector<Job> turn(std::chrono::microseconds /*target*/) override {
        std::vector<Job> ended;
        if (jobs_.empty()) return ended;
        if (on_progress_) on_progress_();
        ended.push_back(std::move(jobs_.front()));
        jobs_.pop_front();
        Job& job = ended.back();
        if (kind_ == Kind::kEmbeddings) {
            job.embedding = {1, static_cast<float>(hash_of(job.tokens) % 1000)};
        } else {
            for (const Token token : job.tokens) job.scores.push_back({{std::string(1, static_cast<char>(token)), -1}});
        }
        return ended;
    }

  private:
    Kind kind_;
    std::deque<Job> jobs_;
};

}  // namespace

FakeModel::FakeModel(const Shape& shape, Faults* faults)
    : faults_(faults), texts_(single_bytes()), slots_(static_cast<std::size_t>(shape.slots)) {
    properties_.kv_cells = shape.kv_cells;
    properties_.context_per_sequence = shape.context;
    properties_.slots = shape.slots;
    properties_.vocabulary = kVocabulary;
    properties_.partial_removal_tokens = std::numeric_limits<int>::max();
    properties_.embedding_width = 2;
    properties_.state_bytes_per_token = sizeof(Token);
    properties_.fingerprint.architecture = "fake";
}

std::string FakeModel::answer(const std::string& prompt, int n_tokens, std::span<const AdapterChoice> adapters) {
    const std::string key = key_of(adapters);
    std::uint64_t hash = kSeed;
    for (const char byte : prompt) hash = mixed(hash, marked(static_cast<unsigned char>(byte), key));
    std::string text;
    for (int i = 0; i < n_tokens; ++i) {
        const Token next = next_after(hash);
        text += static_cast<char>(next);
        hash = mixed(hash, marked(next, key));
    }
    return text;
}

Result<std::shared_ptr<const llama::AdapterSet>> FakeModel::open_adapters(std::span<const AdapterChoice> wanted) const {
    auto set = std::make_shared<llama::AdapterSet>();
    set->key = key_of(wanted);
    return set;
}

std::vector<std::string>& FakeModel::wrongs() {
    static std::vector<std::string> all;
    return all;
}

void FakeModel::expect(bool right, const char* what) const {
    if (!right) wrongs().emplace_back(what);  // by the decode thread alone
}

Result<std::vector<Token>> FakeModel::tokenize(const GenerationRequest& request, std::size_t most_tokens,
                                               const llama::CancelCheck& /*cancelled*/,
                                               llama::PromptImages* /*images*/) const {
    const auto& text = std::get<std::string>(request.prompt);
    if (faults_ != nullptr && faults_->unreadable != '\0' && text.find(faults_->unreadable) != std::string::npos) {
        throw std::runtime_error("it cannot be read");
    }
    std::vector<Token> tokens;
    for (const char byte : text) tokens.push_back(static_cast<unsigned char>(byte));
    if (tokens.empty()) return fail(ErrorCode::kInvalidArgument, "the prompt is empty", "prompt");
    if (tokens.size() > most_tokens) return fail(ErrorCode::kContextOverflow, "the prompt is too long", "prompt");
    return tokens;
}

void FakeModel::append_piece(Token token, std::string& out) const {
    if (token < kEnd) out += static_cast<char>(token);
}

std::string FakeModel::piece(Token token) const {
    return token < kEnd ? std::string(1, static_cast<char>(token)) : "<end>";
}

std::unique_ptr<SideContext> FakeModel::beside(SideContext::Kind kind) const {
    return std::make_unique<FakeSideContext>(kind);
}

void FakeModel::apply(const sched::KvOp& op) {
    if (const auto* fork = std::get_if<sched::Fork>(&op)) {
        expect(slot(fork->to).empty(), "a fork into a slot that holds something");
        expect(std::cmp_greater_equal(slot(fork->from).size(), fork->n_tokens), "a fork of more than there is");
        const auto& from = slot(fork->from);
        slot(fork->to).assign(from.begin(), from.begin() + std::min<std::ptrdiff_t>(fork->n_tokens, std::ssize(from)));
    } else if (const auto* trim = std::get_if<sched::Trim>(&op)) {
        auto& sequence = slot(trim->slot);
        if (std::cmp_greater(sequence.size(), trim->n_tokens))
            sequence.resize(static_cast<std::size_t>(trim->n_tokens));
    }
}

Result<KvState> FakeModel::save(sched::SlotId id, int first, int n_tokens) {
    const auto& sequence = slot(id);
    const auto end = static_cast<std::size_t>(first) + static_cast<std::size_t>(n_tokens);
    expect(sequence.size() >= end, "a state of more than there is");
    if (sequence.size() < end) return fail(ErrorCode::kInternal, "there is no such state");
    KvState state;
    state.size = static_cast<std::size_t>(n_tokens) * sizeof(Token);
    state.data = std::make_unique<std::uint8_t[]>(state.size);  // NOLINT(modernize-avoid-c-arrays)
    std::memcpy(state.data.get(), sequence.data() + first, state.size);
    return state;
}

float* FakeModel::logits_after(sched::SlotId id, int n_tokens, Token last) {
    const auto& sequence = slot(id);
    expect(std::cmp_greater_equal(sequence.size(), n_tokens) &&
               unmarked(sequence[static_cast<std::size_t>(n_tokens) - 1]) == last,
           "the last token is another one");
    row_after_ = row_after(std::span(sequence).first(static_cast<std::size_t>(n_tokens)));
    return row_after_.data();
}

float* FakeModel::logits_after(sched::SlotId id, int begin, int n_tokens, const KvState& state, Token last) {
    const auto tokens = tokens_of(state);
    if (std::cmp_not_equal(tokens.size(), n_tokens) || unmarked(tokens.back()) != last) return nullptr;
    std::vector<Token> sequence(slot(id).begin(), slot(id).begin() + begin);
    sequence.insert(sequence.end(), tokens.begin(), tokens.end());
    row_after_ = row_after(sequence);
    return row_after_.data();
}

bool FakeModel::load(sched::SlotId id, int begin, int first, int n_tokens, const KvState& state) {
    auto& sequence = slot(id);
    const auto tokens = tokens_of(state);
    expect(std::cmp_equal(sequence.size(), first), "a state is put where the slot does not end");
    const int from = first - begin;
    if (std::cmp_not_equal(sequence.size(), first) || from < 0 || std::cmp_greater(from + n_tokens, tokens.size())) {
        return false;
    }
    const auto part = tokens.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(n_tokens));
    sequence.insert(sequence.end(), part.begin(), part.end());
    return true;
}

FakeModel::Outcome FakeModel::decode(const sched::Step& step,
                                     const std::function<const std::vector<Token>&(sched::RequestId)>& tokens_of) {
    rows_.assign(step.chunks.size(), {});
    for (std::size_t i = 0; i < step.chunks.size(); ++i) {
        const sched::Chunk& chunk = step.chunks[i];
        auto& held = slot(chunk.slot);
        expect(std::cmp_equal(held.size(), chunk.first), "a chunk does not begin where its slot ends");
        const std::vector<Token>& sequence = tokens_of(chunk.request);
        const llama::AdapterSet* const adapters = adapters_of_ ? adapters_of_(chunk.request) : nullptr;
        for (int k = chunk.first; k < chunk.first + chunk.n_tokens; ++k) {
            if (k % 16 == 0 && abort_check_ != nullptr && abort_check_()) return Outcome::kAborted;
            const Token token = sequence.at(static_cast<std::size_t>(k));
            if (faults_ != nullptr && token != 0) {
                if (token == faults_->throws_at) throw std::runtime_error("the kernel is gone");
                faults_->stays = token == faults_->hangs_at || token == faults_->toils_at;
                while (token == faults_->hangs_at && !faults_->let_go) std::this_thread::yield();
                while (token == faults_->toils_at && !faults_->let_go) {
                    if (abort_check_()) return Outcome::kAborted;
                }
            }
            held.push_back(marked(token, adapters == nullptr ? std::string_view() : adapters->key));
        }
        if (chunk.wants_logits) rows_[i] = row_after(held);
    }
    return Outcome::kDone;
}

float* FakeModel::logits(std::size_t chunk) const {
    return rows_.at(chunk).data();
}

}  // namespace sutazai::engine
