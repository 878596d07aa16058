#include "fetch/inflow.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "fetch/client.h"

namespace sutazai::fetch {
namespace {

/// What direct I/O wants of places and lengths, on every disk that we know.
constexpr std::size_t kAlignment = 4096;
/// Blocks that wait for more of the same part; the others move.
constexpr std::size_t kMostOpen = Inflow::kBlocks - 4;

/// How much of `bytes` was written, which is at least one.
Result<std::size_t> write_some(int fd, Bytes bytes, std::uint64_t offset, const std::string& name) {
    for (;;) {
        const auto written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written > 0) return static_cast<std::size_t>(written);
        if (written < 0 && errno == EINTR) continue;
        return std::unexpected(disk_error("cannot write " + name, errno));
    }
}

}  // namespace

Inflow::Inflow(const File& file, std::string name, std::uint64_t size, RangeSet there, OnWritten on_written)
    : file_(file),
      name_(std::move(name)),
      size_(size),
      on_written_(std::move(on_written)),
      added_bytes_(there.bytes()),
      written_(std::move(there)),
      may_direct_(true),
      writer_([this](const std::stop_token& stop) { write_blocks(stop); }),
      summer_([this](const std::stop_token& stop) { sum_blocks(stop); }) {}

Inflow::~Inflow() {
    writer_ = {};
    summer_ = {};
}

RangeSet Inflow::written() const {
    const std::lock_guard lock(mutex_);
    return written_;
}

Result<void> Inflow::add(std::uint64_t offset, Bytes bytes, const std::stop_token& stop) {
    while (!bytes.empty()) {
        auto block = block_at(offset, stop);
        if (!block) return std::unexpected(std::move(block.error()));
        Block& open = **block;
        const std::size_t room = kBlockBytes - static_cast<std::size_t>(offset % kBlockBytes);
        const Bytes piece = bytes.first(std::min(room, bytes.size()));
        std::memcpy(open.memory.get() + open.length, piece.data(), piece.size());
        open.length += piece.size();
        added_bytes_ += piece.size();
        offset += piece.size();
        bytes = bytes.subspan(piece.size());
        if (piece.size() == room || offset == size_) {
            submit(static_cast<std::size_t>(std::ranges::find(open_, &open) - open_.begin()));
        }
    }
    if (added_bytes_ == size_) submit_all();
    return {};
}

Result<Inflow::Block*> Inflow::block_at(std::uint64_t offset, const std::stop_token& stop) {
    const auto found = std::ranges::find(open_, offset, &Block::end);
    if (found != open_.end()) return *found;
    if (open_.size() == kMostOpen) submit(0);
    std::unique_lock lock(mutex_);
    if (free_.empty() && blocks_.size() < kBlocks) {
        auto* const memory = static_cast<std::byte*>(std::aligned_alloc(kBlockBytes, kBlockBytes));
        if (memory == nullptr) throw std::bad_alloc();
        // One large page: direct I/O looks up every page that it writes from. Where there are none it is only slower.
        ::madvise(memory, kBlockBytes, MADV_HUGEPAGE);
        blocks_.push_back(std::make_unique<Block>());
        blocks_.back()->memory.reset(memory);
        free_.push_back(blocks_.back().get());
    }
    changed_.wait(lock, stop, [this] { return error_ || !free_.empty(); });
    if (error_) return std::unexpected(*error_);
    if (free_.empty()) return cancelled();
    Block* const block = free_.back();
    free_.pop_back();
    block->begin = offset;
    block->length = 0;
    open_.push_back(block);
    return block;
}

void Inflow::submit(std::size_t open_index) {
    Block* const block = open_[open_index];
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(open_index));
    const std::lock_guard lock(mutex_);
    block->users = 1;
    to_write_.push_back(block);
    can_write_.notify_one();
    if (block->begin != sum_end_) return;
    block->users = 2;
    to_sum_.push_back(block);
    sum_end_ = block->end();
    can_sum_.notify_one();
}

void Inflow::submit_all() {
    while (!open_.empty()) submit(0);
}

void Inflow::give_back(Block& block) {
    if (--block.users > 0) return;
    free_.push_back(&block);
    changed_.notify_one();
}

Result<void> Inflow::flush() {
    submit_all();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return error_ || to_write_.empty(); });
    if (error_) return std::unexpected(*error_);
    return {};
}

Result<Digest> Inflow::digest(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return error_ || (summed_bytes_ == size_ && written_.bytes() == size_); });
    if (error_) return std::unexpected(*error_);
    if (summed_bytes_ != size_ || written_.bytes() != size_) return cancelled();
    return std::exchange(sum_, {}).finish();
}

void Inflow::write_blocks(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (can_write_.wait(lock, stop, [this] { return !to_write_.empty(); }) && !stop.stop_requested()) {
        Block& block = *to_write_.front();
        lock.unlock();
        auto done = write(block);
        lock.lock();
        if (!done) {
            error_ = std::move(done.error());
            changed_.notify_all();
            return;
        }
        const std::size_t length = block.length;
        written_.add({block.begin, block.end()});
        to_write_.pop_front();
        give_back(block);
        if (to_sum_.empty()) can_sum_.notify_one();
        if (to_write_.empty()) changed_.notify_one();
        lock.unlock();
        on_written_(length);
        lock.lock();
    }
}

Result<void> Inflow::write(const Block& block) {
    Bytes bytes = block.bytes();
    std::uint64_t offset = block.begin;
    if (around_ && offset % kAlignment == 0) {
        if (auto done = write_around_cache(bytes, offset); !done) return done;
    }
    while (!bytes.empty()) {
        const auto written = write_some(file_.fd(), bytes, offset, name_);
        if (!written) return std::unexpected(written.error());
        offset += *written;
        bytes = bytes.subspan(*written);
    }
    return {};
}

/// Takes off `bytes` what it has written.
Result<void> Inflow::write_around_cache(Bytes& bytes, std::uint64_t& offset) {
    if (!direct_.is_open() && may_direct_) {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): POSIX
        direct_ = File(::open(fmt::format("/proc/self/fd/{}", file_.fd()).c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
        // Each write past the end would wait for the file's new size.
        if (::ftruncate(file_.fd(), static_cast<off_t>(size_)) != 0) may_direct_ = false;
    }
    may_direct_ = may_direct_ && direct_.is_open();
    while (may_direct_ && bytes.size() >= kAlignment) {
        const Bytes whole = bytes.first(bytes.size() / kAlignment * kAlignment);
        const auto written = write_some(direct_.fd(), whole, offset, name_);
        // Not every file system can, and not every one says so when it opens the file.
        if (!written || *written % kAlignment != 0) {
            may_direct_ = false;
            break;
        }
        offset += *written;
        bytes = bytes.subspan(*written);
    }
    return {};
}

void Inflow::sum_blocks(const std::stop_token& stop) {
    std::vector<std::byte> buffer;
    std::unique_lock lock(mutex_);
    const auto has_more = [this] { return !to_sum_.empty() || written_.front() > summed_bytes_; };
    while (can_sum_.wait(lock, stop, has_more) && !stop.stop_requested()) {
        std::size_t length = 0;
        if (!to_sum_.empty()) {
            Block& block = *to_sum_.front();
            lock.unlock();
            sum_.add(block.bytes());
            length = block.length;
            lock.lock();
            to_sum_.pop_front();
            give_back(block);
        } else {
            const std::uint64_t at = summed_bytes_;
            length = static_cast<std::size_t>(std::min<std::uint64_t>(kBlockBytes, written_.front() - at));
            sum_end_ = at + length;
            lock.unlock();
            buffer.resize(kBlockBytes);
            const std::span piece(buffer.data(), length);
            auto read = read_at(file_, at, piece);
            if (read) sum_.add(piece);
            lock.lock();
            if (!read) {
                error_ = std::move(read.error());
                changed_.notify_all();
                return;
            }
        }
        summed_bytes_ += length;
        if (summed_bytes_ == size_) changed_.notify_one();
    }
}

}  // namespace sutazai::fetch
