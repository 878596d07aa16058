#include "llama/virtual_stream.h"

#include <cerrno>
#include <cstdint>

namespace sutazai::llama {
namespace {

struct Cookie {
    const gguf::VirtualFile* file;
    std::uint64_t position = 0;
};

ssize_t read_cookie(void* cookie, char* out, std::size_t length) {
    auto& self = *static_cast<Cookie*>(cookie);
    const auto got = self.file->read(self.position, out, length);
    if (!got) return -1;
    self.position += *got;
    return static_cast<ssize_t>(*got);
}

int seek_cookie(void* cookie, off64_t* offset, int whence) {
    auto& self = *static_cast<Cookie*>(cookie);
    std::int64_t position = *offset;
    if (whence == SEEK_CUR) position += static_cast<std::int64_t>(self.position);
    if (whence == SEEK_END) position += static_cast<std::int64_t>(self.file->size());
    if (position < 0) {
        errno = EINVAL;
        return -1;
    }
    self.position = static_cast<std::uint64_t>(position);
    *offset = position;
    return 0;
}

int close_cookie(void* cookie) {
    delete static_cast<Cookie*>(cookie);
    return 0;
}

}  // namespace

Stream open_stream(const gguf::VirtualFile& file) {
    auto cookie = std::make_unique<Cookie>(Cookie{&file});
    Stream out(fopencookie(cookie.get(), "rb", {read_cookie, nullptr, seek_cookie, close_cookie}));
    if (out != nullptr) (void)cookie.release();  // its own now
    return out;
}

}  // namespace sutazai::llama
