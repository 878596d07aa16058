#include "cli/dot_env_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/byte_text.h"
#include "config/settings.h"

namespace sutazai::cli {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;

std::unexpected<Error> refuse(const std::string& why) {
    return fail(ErrorCode::kInvalidArgument, "the settings file .env " + why, ".env");
}

const char* kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR: return "a folder";
        case S_IFIFO: return "a pipe";
        case S_IFSOCK: return "a socket";
        default: return "a device";
    }
}

}  // namespace

Result<std::map<std::string, std::string>> read_dot_env(const std::filesystem::path& path) {
    struct Descriptor {
        int fd;
        ~Descriptor() {
            if (fd >= 0) ::close(fd);
        }
    };
    // A pipe is opened without waiting for who writes to it.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
    struct stat about {};
    if (file.fd < 0) {
        const int error = errno;
        if (error == ENOENT && ::lstat(path.c_str(), &about) != 0) return {};
        if (error == ENOENT) return refuse("is a link to a file that is not there");
        if (::stat(path.c_str(), &about) == 0 && !S_ISREG(about.st_mode)) {
            return refuse(fmt::format("is {}; it must be a file", kind_of(about.st_mode)));
        }
        return refuse(fmt::format("cannot be read: {}", std::strerror(error)));
    }
    if (::fstat(file.fd, &about) != 0) return refuse(fmt::format("cannot be read: {}", std::strerror(errno)));
    if (!S_ISREG(about.st_mode)) return refuse(fmt::format("is {}; it must be a file", kind_of(about.st_mode)));
    // Not by its size: that may be another one by now, and files of /proc have none.
    std::string text(kMostBytes + 1, '\0');
    std::size_t n_read = 0;
    while (n_read < text.size()) {
        const ssize_t n = ::read(file.fd, text.data() + n_read, text.size() - n_read);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return refuse(fmt::format("cannot be read: {}", std::strerror(errno)));
        if (n == 0) break;
        n_read += static_cast<std::size_t>(n);
    }
    if (n_read > kMostBytes) return refuse(fmt::format("is larger than {}", byte_text(kMostBytes)));
    text.resize(n_read);
    return config::parse_dot_env(text);
}

}  // namespace sutazai::cli
