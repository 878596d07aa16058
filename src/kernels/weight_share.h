#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kernels/weight_memory.h"

struct ggml_backend_buffer;
struct ggml_tensor;

/// Repacked weights that several engine processes have in common: who loads first repacks into memory that can be
/// mapped (weight_memory.h), who loads the same tensors afterwards maps it and neither reads nor repacks them. What
/// differs is written into pages of one's own, copies that the kernel makes when they are written to.
namespace sutazai::kernels {

class WeightShare {
  public:
    /// For weights of this origin.
    explicit WeightShare(std::string origin) : origin_(std::move(origin)) {}
    WeightShare(WeightShare&&) = default;
    WeightShare& operator=(WeightShare&&) = default;

    /// From now on tensors of these names, where they lie there as they would lie here, are taken from `sibling`.
    void start_from(WeightMemory sibling, std::set<std::string> same);
    [[nodiscard]] bool starts_from_sibling() const { return sibling_; }

    /// While it lives, repacked weights that this thread loads go through the share.
    class Use {
      public:
        explicit Use(WeightShare& share);
        ~Use();
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
    };

    /// When all is loaded: nothing may write to the weights any more, and others may map them.
    void publish();

    /// What others map: an own sealed memory, or the sibling's. Null when there is none.
    [[nodiscard]] const WeightMemory* memory() const;
    /// Of that memory: what this process uses of it.
    [[nodiscard]] std::uint64_t shared_bytes() const { return memory() == nullptr ? 0 : shared_bytes_; }
    /// What need not be read from the file: nothing when this process made the memory.
    [[nodiscard]] std::uint64_t taken_bytes() const { return sibling_ ? shared_bytes_ : 0; }

    // For stand_ins.cpp, on the thread that loads.
    [[nodiscard]] static WeightShare* in_use();
    /// Memory for a buffer of so many bytes; null: it is to be plain. Only one buffer is shared.
    [[nodiscard]] void* map(std::size_t bytes);
    static void unmap(void* base, std::size_t bytes);
    [[nodiscard]] bool has(const void* base) const { return base != nullptr && base == base_; }
    /// The tensor has its place in the buffer. True: its weights are there already.
    [[nodiscard]] bool take(const ggml_tensor& tensor);

  private:
    std::string origin_;
    std::optional<WeightMemory> memory_;  // once it is mapped, or the sibling's
    bool sibling_ = false;
    std::set<std::string> same_;
    void* base_ = nullptr;
    std::size_t bytes_ = 0;
    std::uint64_t shared_bytes_ = 0;
    std::vector<PlacedTensor> placed_;
};

}  // namespace sutazai::kernels
