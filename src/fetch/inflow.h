#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/files.h"
#include "fetch/ranges.h"

namespace sutazai::fetch {

/// Bytes on their way into a file. They are gathered into blocks, which one thread writes and another sums while they
/// are in memory; what came out of order is read again for the sum. At most kBlocks blocks are in memory: who adds
/// waits for the disk then.
class Inflow {
  public:
    static constexpr std::size_t kBlockBytes = 2 << 20;
    static constexpr std::size_t kBlocks = 12;

    /// Told by the writing thread how many more bytes the file has.
    using OnWritten = std::move_only_function<void(std::uint64_t)>;

    /// `file` outlives it; `name` is for messages. `there` is what the file has already.
    Inflow(const File& file, std::string name, std::uint64_t size, RangeSet there, OnWritten on_written);
    /// What was not flushed is lost.
    ~Inflow();
    Inflow(const Inflow&) = delete;
    Inflow& operator=(const Inflow&) = delete;

    // Those who add, one thread:

    /// At `offset`, within the size, nothing twice. kCancelled when stopped, kUnavailable when the disk does not let
    /// us, now or before.
    [[nodiscard]] Result<void> add(std::uint64_t offset, Bytes bytes, const std::stop_token& stop);
    /// Everything that was added is written.
    [[nodiscard]] Result<void> flush();
    /// When all has been added: the sum of the whole file.
    [[nodiscard]] Result<Digest> digest(const std::stop_token& stop);

    // Any thread:

    /// Whether blocks go around the page cache, where the file system lets them: half of the processors' work, and
    /// nothing else is pushed out of the cache, but whoever reads the file next waits for the disk.
    void go_around_cache(bool around) { around_ = around; }
    [[nodiscard]] std::uint64_t added_bytes() const { return added_bytes_; }
    [[nodiscard]] RangeSet written() const;

  private:
    struct FreeMemory {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    struct Block {
        std::unique_ptr<std::byte, FreeMemory> memory;
        std::uint64_t begin = 0;  // in the file
        std::size_t length = 0;
        int users = 0;  // threads that are not done with it

        [[nodiscard]] std::uint64_t end() const { return begin + length; }
        [[nodiscard]] Bytes bytes() const { return {memory.get(), length}; }
    };

    [[nodiscard]] Result<Block*> block_at(std::uint64_t offset, const std::stop_token& stop);
    void submit(std::size_t open_index);
    void submit_all();
    void give_back(Block& block);
    void write_blocks(const std::stop_token& stop);
    [[nodiscard]] Result<void> write(const Block& block);
    [[nodiscard]] Result<void> write_around_cache(Bytes& bytes, std::uint64_t& offset);
    void sum_blocks(const std::stop_token& stop);

    const File& file_;
    const std::string name_;
    const std::uint64_t size_;
    OnWritten on_written_;
    std::atomic<bool> around_ = false;
    std::atomic<std::uint64_t> added_bytes_;
    std::vector<Block*> open_;  // that are being filled, the oldest first; of who adds

    mutable std::mutex mutex_;
    std::condition_variable_any changed_;    // for who adds
    std::condition_variable_any can_write_;  // for the thread that writes
    std::condition_variable_any can_sum_;    // for the one that sums
    std::vector<std::unique_ptr<Block>> blocks_;
    std::vector<Block*> free_;
    std::deque<Block*> to_write_;  // with the one that is being written
    std::deque<Block*> to_sum_;    // one behind the other, from summed_bytes_ on
    RangeSet written_;
    std::uint64_t summed_bytes_ = 0;
    std::uint64_t sum_end_ = 0;  // behind what is summed, being summed or in to_sum_
    std::optional<Error> error_;
    Sha256 sum_;       // of sum_blocks()
    File direct_;      // of write_blocks()
    bool may_direct_;  // of write_blocks()
    std::jthread writer_;
    std::jthread summer_;
};

}  // namespace sutazai::fetch
