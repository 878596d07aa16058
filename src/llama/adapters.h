#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/generation.h"
#include "base/model_parts.h"
#include "kernels/adapter_rows.h"

struct llama_model;

namespace sutazai::llama {

/// One LoRA file in memory, as it fits one model. Constant.
struct Adapter {
    Digest digest{};                          ///< of the file
    std::uint64_t bytes = 0;                  ///< of memory
    int most_rank = 0;                        ///< of all its weights
    std::vector<kernels::AdapterPair> pairs;  ///< by the number that the shelf has given to each weight
    std::vector<std::vector<std::byte>> matrices;
};

/// Adapters that work together. Constant.
struct AdapterSet {
    struct Member {
        std::shared_ptr<const Adapter> adapter;
        float scale = 1;
    };
    std::vector<Member> members;  ///< by digest; one of a scale of 0 is left out
    /// Digests and scales: of two sets with one key a model says the same. Empty: nothing is added to the model.
    std::string key;
};

/// Reads LoRA files in GGUF, as llama.cpp's convert_lora_to_gguf.py writes them, and keeps those used last, within a
/// bound of memory. Any thread; reading a file takes as long as its bytes take, and others wait for it.
class AdapterShelf {
  public:
    /// `model` outlives this. Adapters that are in use count towards `most_bytes`, too.
    AdapterShelf(const llama_model* model, std::uint64_t most_bytes) : model_(model), most_bytes_(most_bytes) {}

    /// Opens what is asked for, as the files are now. kLoadFailed for a file that is missing or broken, is no LoRA
    /// or is one for another model, kUnavailable when those in use leave no room.
    [[nodiscard]] Result<std::shared_ptr<const AdapterSet>> open(std::span<const AdapterChoice> wanted);

    /// Has there been a set with adapters at all? Until then no step has to look for any.
    [[nodiscard]] bool was_used() const { return was_used_.load(std::memory_order_relaxed); }

    /// The weights that adapters so far had something for, by number.
    [[nodiscard]] std::vector<std::string> weights() const;

  private:
    struct Kept {
        std::string path;
        FileStamp stamp;
        std::shared_ptr<const Adapter> adapter;
    };
    [[nodiscard]] Result<std::shared_ptr<const Adapter>> get(const AdapterChoice& wanted);
    [[nodiscard]] Result<std::shared_ptr<const Adapter>> read(const AdapterChoice& wanted);
    [[nodiscard]] std::size_t number_of(const std::string& weight);
    [[nodiscard]] Result<void> make_room(std::uint64_t bytes);

    const llama_model* model_;
    const std::uint64_t most_bytes_;
    std::atomic<bool> was_used_ = false;
    std::mutex mutex_;
    std::list<Kept> kept_;              ///< used last first
    mutable std::mutex numbers_mutex_;  ///< apart, because the decode thread asks and is not to wait for a file
    std::unordered_map<std::string, std::size_t> numbers_;
};

}  // namespace sutazai::llama
