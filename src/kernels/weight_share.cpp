#include "kernels/weight_share.h"

#include <ggml.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace sutazai::kernels {
namespace {

thread_local WeightShare* t_in_use = nullptr;

PlacedTensor placed(const ggml_tensor& tensor, const void* base) {
    PlacedTensor out;
    out.name = ggml_get_name(&tensor);
    out.offset = static_cast<std::uint64_t>(static_cast<const char*>(tensor.data) - static_cast<const char*>(base));
    out.bytes = ggml_nbytes(&tensor);
    out.type = tensor.type;
    std::copy_n(tensor.ne, 4, out.shape.begin());
    return out;
}

std::size_t whole_pages(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

}  // namespace

void WeightShare::start_from(WeightMemory sibling, std::set<std::string> same) {
    memory_ = std::move(sibling);
    same_ = std::move(same);
    sibling_ = true;
}

WeightShare::Use::Use(WeightShare& share) {
    t_in_use = &share;
}

WeightShare::Use::~Use() {
    t_in_use = nullptr;
}

WeightShare* WeightShare::in_use() {
    return t_in_use;
}

void* WeightShare::map(std::size_t bytes) {
    if (base_ != nullptr) return nullptr;
    if (sibling_ && memory_->contents().buffer_bytes != whole_pages(bytes)) {
        memory_.reset();
        sibling_ = false;
    }
    if (!sibling_) memory_ = WeightMemory::make(whole_pages(bytes));
    if (!memory_) return nullptr;
    // Of a sibling's memory nothing can be mapped but a copy, whose pages are the sibling's until they are written to.
    const int flags = sibling_ ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
    void* const base = ::mmap(nullptr, whole_pages(bytes), PROT_READ | PROT_WRITE, flags, memory_->fd(), 0);
    if (base == MAP_FAILED) {
        memory_.reset();
        sibling_ = false;
        return nullptr;
    }
    base_ = base;
    bytes_ = bytes;
    return base_;
}

void WeightShare::unmap(void* base, std::size_t bytes) {
    ::munmap(base, whole_pages(bytes));
}

bool WeightShare::take(const ggml_tensor& tensor) {
    PlacedTensor here = placed(tensor, base_);
    if (!sibling_) {
        shared_bytes_ += here.bytes;
        placed_.push_back(std::move(here));
        return false;
    }
    const PlacedTensor* const there = memory_->contents().find(here.name);
    if (there == nullptr || *there != here || !same_.contains(here.name)) return false;
    shared_bytes_ += here.bytes;
    return true;
}

void WeightShare::publish() {
    if (base_ == nullptr) {
        memory_.reset();
        sibling_ = false;
        return;
    }
    if (sibling_) {
        (void)::mprotect(base_, whole_pages(bytes_), PROT_READ);
        return;
    }
    // A memory that can be written to through any mapping cannot be sealed.
    const int flags = MAP_PRIVATE | MAP_FIXED | MAP_POPULATE;
    if (::mmap(base_, whole_pages(bytes_), PROT_READ, flags, memory_->fd(), 0) == MAP_FAILED ||
        !memory_->seal({build_of_this_process(), origin_, whole_pages(bytes_), std::move(placed_)})) {
        memory_.reset();  // the mapping stays
    }
}

const WeightMemory* WeightShare::memory() const {
    return memory_ && memory_->sealed() ? &*memory_ : nullptr;
}

}  // namespace sutazai::kernels
