#include "kernels/weight_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include "kernels/cpu_level.h"

namespace sutazai::kernels {
namespace {

constexpr std::string_view kMagic = "sutazai weights 1\n";
/// Behind the text: how long it is and how long the buffer is, as 16 hexadecimal digits each, then kMagic.
constexpr std::size_t kEndBytes = 32 + kMagic.size();
constexpr std::uint64_t kMostTextBytes = 64ULL << 20;
constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

bool write_all(int fd, std::uint64_t at, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::pwrite(fd, text.data(), text.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += static_cast<std::uint64_t>(n);
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

std::optional<std::string> read_all(int fd, std::uint64_t at, std::size_t bytes) {
    std::string out(bytes, '\0');
    for (std::size_t have = 0; have < bytes;) {
        const ssize_t n = ::pread(fd, out.data() + have, bytes - have, static_cast<off_t>(at + have));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return std::nullopt;
        have += static_cast<std::size_t>(n);
    }
    return out;
}

/// Takes numbers and texts off the front.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    template <typename T>
    bool number(T& value, int base = 10) {
        const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value, base);
        if (error != std::errc() || end == text_.data() + text_.size()) return false;
        text_.remove_prefix(static_cast<std::size_t>(end - text_.data()) + 1);  // and what separates them
        return true;
    }

    bool text(std::string& value) {
        std::uint64_t bytes = 0;
        if (!number(bytes) || bytes >= text_.size()) return false;
        value = text_.substr(0, bytes);
        text_.remove_prefix(bytes + 1);
        return true;
    }

    [[nodiscard]] bool at_end() const { return text_.empty(); }

  private:
    std::string_view text_;
};

std::string to_text(const WeightContents& contents) {
    std::string out =
        fmt::format("{} {}\n{} {}\n", contents.build.size(), contents.build, contents.origin.size(), contents.origin);
    for (const PlacedTensor& tensor : contents.tensors) {
        out += fmt::format("{} {} {} {} {}\n", tensor.offset, tensor.bytes, tensor.type, fmt::join(tensor.shape, " "),
                           fmt::format("{} {}", tensor.name.size(), tensor.name));
    }
    return out;
}

bool parse(std::string_view text, WeightContents& contents) {
    Reader in(text);
    if (!in.text(contents.build) || !in.text(contents.origin)) return false;
    while (!in.at_end()) {
        PlacedTensor tensor;
        if (!in.number(tensor.offset) || !in.number(tensor.bytes) || !in.number(tensor.type)) return false;
        for (std::int64_t& n : tensor.shape) {
            if (!in.number(n)) return false;
        }
        if (!in.text(tensor.name)) return false;
        if (tensor.offset > contents.buffer_bytes || tensor.bytes > contents.buffer_bytes - tensor.offset) return false;
        contents.tensors.push_back(std::move(tensor));
    }
    return true;
}

}  // namespace

const PlacedTensor* WeightContents::find(const std::string& name) const {
    const auto found = std::ranges::find(tensors, name, &PlacedTensor::name);
    return found == tensors.end() ? nullptr : &*found;
}

std::string build_of_this_process() {
    struct stat status {};
    if (::stat("/proc/self/exe", &status) != 0) status = {};
    return fmt::format("{} {} {} {} {}.{:09}", cpu_level().name, status.st_dev, status.st_ino, status.st_size,
                       status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

WeightMemory::WeightMemory(WeightMemory&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), sealed_(other.sealed_), contents_(std::move(other.contents_)) {}

WeightMemory& WeightMemory::operator=(WeightMemory&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(sealed_, other.sealed_);
    std::swap(contents_, other.contents_);
    return *this;
}

WeightMemory::~WeightMemory() {
    if (fd_ >= 0) ::close(fd_);
}

std::optional<WeightMemory> WeightMemory::make(std::uint64_t buffer_bytes) {
    WeightMemory out(::memfd_create("sutazai-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (out.fd_ < 0 || ::ftruncate(out.fd_, static_cast<off_t>(buffer_bytes)) != 0) return std::nullopt;
    return out;
}

std::optional<WeightMemory> WeightMemory::open(int pid, int fd) {
    WeightMemory out(::open(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (out.fd_ < 0) return std::nullopt;
    const int seals = ::fcntl(out.fd_, F_GET_SEALS);
    if (seals < 0 || (seals & kSeals) != kSeals || !out.read_contents()) return std::nullopt;
    out.sealed_ = true;
    return out;
}

bool WeightMemory::seal(WeightContents contents) {
    const std::string text = to_text(contents);
    const std::string end = fmt::format("{:016x}{:016x}{}", text.size(), contents.buffer_bytes, kMagic);
    if (text.size() > kMostTextBytes || !write_all(fd_, contents.buffer_bytes, text + end)) return false;
    if (::fcntl(fd_, F_ADD_SEALS, kSeals) != 0) return false;
    contents_ = std::move(contents);
    return sealed_ = true;
}

bool WeightMemory::read_contents() {
    struct stat status {};
    if (::fstat(fd_, &status) != 0 || status.st_size < static_cast<off_t>(kEndBytes)) return false;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    const auto end = read_all(fd_, size - kEndBytes, kEndBytes);
    if (!end || !end->ends_with(kMagic)) return false;
    std::uint64_t text_bytes = 0;
    const auto hex = [&](std::size_t at, std::uint64_t& value) {
        const char* const first = end->data() + at;
        return std::from_chars(first, first + 16, value, 16).ptr == first + 16;
    };
    if (!hex(0, text_bytes) || !hex(16, contents_.buffer_bytes) || text_bytes > kMostTextBytes) return false;
    if (contents_.buffer_bytes > size || size - contents_.buffer_bytes != text_bytes + kEndBytes) return false;
    const auto text = read_all(fd_, contents_.buffer_bytes, text_bytes);
    return text && parse(*text, contents_);
}

std::uint64_t WeightMemory::id() const {
    struct stat status {};
    return fd_ >= 0 && ::fstat(fd_, &status) == 0 ? static_cast<std::uint64_t>(status.st_ino) : 0;
}

}  // namespace sutazai::kernels
