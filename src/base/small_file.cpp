#include "base/small_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/byte_text.h"

namespace sutazai {
namespace {

const char* kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR: return "a folder";
        case S_IFIFO: return "a pipe";
        case S_IFSOCK: return "a socket";
        default: return "a device";
    }
}

std::unexpected<Error> is_no_file(mode_t mode) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("is {}; it must be a file", kind_of(mode)));
}

std::unexpected<Error> cannot_be_read(int error) {
    return fail(ErrorCode::kInternal, "cannot be read: " + std::system_category().message(error));
}

std::unexpected<Error> cannot_be_opened(const std::string& path, int error) {
    struct stat about {};
    if (error == ENOENT && ::lstat(path.c_str(), &about) == 0) {
        return fail(ErrorCode::kInvalidArgument, "is a link to a file that is not there");
    }
    if (error == ENOENT || error == ENOTDIR) return fail(ErrorCode::kNotFound, "is missing");
    if (::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode)) return is_no_file(about.st_mode);
    return cannot_be_read(error);
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, std::size_t most) {
    struct Descriptor {
        int fd;
        ~Descriptor() {
            if (fd >= 0) ::close(fd);
        }
    };
    // A pipe would wait for its writer.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
    if (file.fd < 0) return cannot_be_opened(path, errno);
    struct stat about {};
    if (::fstat(file.fd, &about) != 0) return cannot_be_read(errno);
    if (!S_ISREG(about.st_mode)) return is_no_file(about.st_mode);
    // Not by its size: it may grow meanwhile, and files of /proc have none.
    constexpr std::size_t kPiece = 16 << 10;
    std::string text;
    for (;;) {
        const std::size_t before = text.size();
        text.resize(before + kPiece);
        const ssize_t n = ::read(file.fd, text.data() + before, kPiece);
        const int error = errno;
        text.resize(before + static_cast<std::size_t>(n > 0 ? n : 0));
        if (n < 0 && error == EINTR) continue;
        if (n < 0) return cannot_be_read(error);
        if (n == 0) return text;
        if (text.size() > most) {
            return fail(ErrorCode::kInvalidArgument, fmt::format("is larger than {}", byte_text(most)));
        }
    }
}

}  // namespace sutazai
