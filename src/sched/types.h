#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <variant>
#include <vector>

/// Vocabulary of the scheduler. Everything in src/sched is pure: no threads, no clock (the time is an argument), no
/// llama.h.
namespace sutazai::sched {

using Token = std::int32_t;
using RequestId = std::uint64_t;
/// A KV sequence: a numbered place for one token sequence, in [0, Limits::slots).
using SlotId = std::int32_t;
inline constexpr SlotId kNoSlot = -1;
/// The KV state of a run of tokens in host memory (see block_cache.h). Numbers are never used twice.
using BlockId = std::uint64_t;
inline constexpr BlockId kNoBlock = 0;

/// Monotonic time since an arbitrary origin.
using Time = std::chrono::microseconds;

/// The engine makes the KV memory follow the scheduler's books by doing these in order before it decodes.
struct Fork {  ///< `to` (empty) gets the first `n_tokens` of `from`; the cells are shared, not copied
    SlotId from;
    SlotId to;
    int n_tokens;
    bool operator==(const Fork&) const = default;
};
struct Trim {  ///< `slot` keeps only its first `n_tokens`; 0 empties it
    SlotId slot;
    int n_tokens;
    bool operator==(const Trim&) const = default;
};
/// The state of the tokens [first, first + n_tokens) of `slot` is copied to host memory as `block`.
struct Save {
    SlotId slot;
    int first;
    int n_tokens;
    BlockId block;
    bool operator==(const Save&) const = default;
};
/// `slot`, which holds `first` tokens, gets the tokens [first, first + n_tokens) from `block`, which begins at the last
/// multiple of kBlockTokens that is not past `first`. While it happens, the whole block takes cells.
struct Load {
    SlotId slot;
    int first;
    int n_tokens;
    BlockId block;
    bool operator==(const Load&) const = default;
};
struct Drop {  ///< the state of `block` is no longer wanted
    BlockId block;
    bool operator==(const Drop&) const = default;
};
using KvOp = std::variant<Fork, Trim, Save, Load, Drop>;

/// A run of one request's tokens to compute in this step, at positions [first, first + n_tokens).
struct Chunk {
    RequestId request;
    SlotId slot;
    int first;
    int n_tokens;
    bool wants_logits;  ///< of the last token: all before it are computed, so the next token is to be sampled
    bool operator==(const Chunk&) const = default;
};

/// A run of a prompt's positions that is computed by itself: no chunk holds both it and others.
struct Apart {
    int first = 0;
    int n_tokens = 0;
    bool whole = false;  ///< and in one chunk, whatever a step may hold
};

/// One llama_decode, and one more for each chunk of what is computed apart.
struct Step {
    std::vector<KvOp> ops;
    std::vector<Chunk> chunks;  ///< sequences that generate first, then prefill
    int n_tokens = 0;           ///< in all chunks
    int n_decode = 0;           ///< chunks of one token that continue a generation
    bool held = false;          ///< nothing is planned because companions are on their way
    [[nodiscard]] bool empty() const { return chunks.empty(); }
};

struct Limits {
    int kv_cells = 4096;              ///< tokens that the KV memory holds in all
    int context_per_sequence = 4096;  ///< tokens of one sequence at most
    int slots = 16;                   ///< sequences at most, running and kept together
    int batch_size = 8;               ///< sequences decoded together, to start from
    int batch_size_max = 8;           ///< the most that the controller may go to, <= slots
    int batch_tokens = 2048;          ///< tokens of one step at most, >= batch_size_max
    int prefill_tokens = 512;  ///< prefill tokens of one step at most: how long a newcomer waits for a step's end
    /// Rows that the engine's matrix kernels take at a time: a step of so many tokens, or a multiple, costs least by
    /// the token. 1: any number is as good.
    int row_group = 1;
    int max_queue = 512;     ///< requests that wait at most
    int forks_at_once = 16;  ///< requests of one prompt that run or wait in the queue at most, >= 1
    Time queue_timeout{0};   ///< a request that has not begun by then expires; 0: never
    Time batch_timeout{0};   ///< how long a request is held at most for others that are being prepared
    /// How much longer than a pure decode step a step may take because of prefill, while something generates.
    std::chrono::microseconds token_gap{50'000};
    bool prefix_sharing = true;  ///< false: nothing is shared or kept, and every prompt is computed
    /// The KV memory can remove the last tokens of a sequence that has at most so many (partial removal). A longer one
    /// can only be kept, or forked, as a whole, where it ends now. Attention over all: no limit. A sliding window: the
    /// window less one, because what no next token sees is overwritten. A recurrent state: 0.
    int partial_removal_tokens = std::numeric_limits<int>::max();
    /// Host memory for KV states that were pushed out of the KV memory; 0: none is kept.
    std::uint64_t host_bytes = 0;
    std::uint64_t host_bytes_per_token = 1;  ///< what a token is expected to take of it, until saved() tells
};

}  // namespace sutazai::sched
