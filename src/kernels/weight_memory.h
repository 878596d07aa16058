#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Memory that holds repacked weights and that other processes can map: a memfd with the bytes of one of ggml's buffers
/// and, behind them, what lies where and what it was made from. Once it is sealed nobody can change it, whatever
/// becomes of the process that made it, and it stays for as long as anybody has it open or mapped.
namespace sutazai::kernels {

/// A tensor in a buffer.
struct PlacedTensor {
    std::string name;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
    int type = 0;  ///< ggml_type
    std::array<std::int64_t, 4> shape{1, 1, 1, 1};

    bool operator==(const PlacedTensor&) const = default;
};

struct WeightContents {
    std::string build;   ///< layouts are alike within one binary on one level of processor: build_of_this_process()
    std::string origin;  ///< which files the tensors come from, in the maker's words
    std::uint64_t buffer_bytes = 0;
    std::vector<PlacedTensor> tensors;

    [[nodiscard]] const PlacedTensor* find(const std::string& name) const;
};

/// This binary, as its file is, and the level of processor that it computes for.
[[nodiscard]] std::string build_of_this_process();

/// Move-only; a file descriptor. Any thread.
class WeightMemory {
  public:
    WeightMemory() = default;
    WeightMemory(WeightMemory&& other) noexcept;
    WeightMemory& operator=(WeightMemory&& other) noexcept;
    ~WeightMemory();

    /// Of so many zeroes. Nothing when the kernel does not give it.
    [[nodiscard]] static std::optional<WeightMemory> make(std::uint64_t buffer_bytes);
    /// What another process of this user has open as `fd`. Nothing when there is no such process or file, when it is
    /// not sealed, or does not hold what it should: everything is checked, as any number may be wrong.
    [[nodiscard]] static std::optional<WeightMemory> open(int pid, int fd);

    /// Writes down what the buffer holds and seals all. No shared mapping of it may be left. False when it cannot be:
    /// it is nothing for others then.
    [[nodiscard]] bool seal(WeightContents contents);

    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] bool sealed() const { return sealed_; }
    [[nodiscard]] const WeightContents& contents() const { return contents_; }  ///< of a sealed one
    [[nodiscard]] std::uint64_t id() const;                                     ///< the same in all processes

  private:
    explicit WeightMemory(int fd) : fd_(fd) {}
    [[nodiscard]] bool read_contents();

    int fd_ = -1;
    bool sealed_ = false;
    WeightContents contents_;
};

}  // namespace sutazai::kernels
