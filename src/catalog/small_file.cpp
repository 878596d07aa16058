#include "catalog/small_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace sutazai::catalog {
namespace {

std::unexpected<Error> cannot_read(int error) {
    if (error == ENOENT || error == ENOTDIR) return fail(ErrorCode::kNotFound, "is missing");
    return fail(ErrorCode::kInternal, "cannot be read: " + std::system_category().message(error));
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, std::size_t most) {
    struct Descriptor {
        int fd;
        ~Descriptor() {
            if (fd >= 0) close(fd);
        }
    };
    // A pipe would wait for its writer.
    const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.fd < 0) return cannot_read(errno);
    struct stat status {};
    if (fstat(file.fd, &status) != 0) return cannot_read(errno);
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::kInternal, "is no file");
    std::string text;
    // It may grow meanwhile.
    if (std::cmp_less_equal(status.st_size, most)) text.resize(static_cast<std::size_t>(status.st_size) + 1);
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t n = read(file.fd, text.data() + size, text.size() - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cannot_read(errno);
        if (n == 0) {
            text.resize(size);
            return text;
        }
        size += static_cast<std::size_t>(n);
        if (size == text.size() && size <= most) text.resize(most + 1);
    }
    return fail(ErrorCode::kInvalidArgument, fmt::format("is longer than {} bytes", most));
}

}  // namespace sutazai::catalog
