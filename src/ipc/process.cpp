#include "ipc/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace sutazai::ipc {
namespace {

// What the child does between fork and exec: async-signal-safe calls only, because other threads of the parent may have
// held any lock at the fork.
[[noreturn]] void become(char* const* arguments, int socket_fd, pid_t parent) {
    constexpr int kCannotStart = 127;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(kCannotStart);  // the parent died before the line above
    ::setpgid(0, 0);

    // The parent's handlers must not run here; ignored signals would stay ignored in the new program.
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &action, nullptr);
    // A background process group may be stopped for writing its log to a terminal.
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGTTOU, &action, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);

    // The socket first: its number may be 0, which standard input replaces.
    const bool moved = socket_fd == ChildProcess::kSocketFd ? ::fcntl(socket_fd, F_SETFD, 0) == 0
                                                            : ::dup2(socket_fd, ChildProcess::kSocketFd) >= 0;
    const int empty = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (!moved || empty < 0) ::_exit(kCannotStart);
    if (empty == STDIN_FILENO ? ::fcntl(empty, F_SETFD, 0) != 0 : ::dup2(empty, STDIN_FILENO) < 0) {
        ::_exit(kCannotStart);
    }
    // Our own descriptors are all close-on-exec; a library's may not be.
    ::syscall(SYS_close_range, ChildProcess::kSocketFd + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execv(arguments[0], arguments);
    ::_exit(kCannotStart);
}

}  // namespace

std::string ExitStatus::describe() const {
    if (!by_signal && value == kChangedFileExit) {
        return "ended, since the model's file was changed on disk while it was in use";
    }
    if (!by_signal) return fmt::format("ended with exit code {}", value);
    if (value == SIGBUS) {
        return "was killed by signal 7 (Bus error): the model's file was cut short while it was in use, or its disk "
               "failed";
    }
    const char* name = ::sigdescr_np(value);
    return fmt::format("was killed by signal {} ({})", value, name != nullptr ? name : "unknown");
}

Result<ChildProcess> ChildProcess::spawn(const std::vector<std::string>& arguments, int socket_fd) {
    const char* executable = arguments.front().c_str();
    if (::access(executable, X_OK) != 0) {
        return fail(ErrorCode::kInternal, fmt::format("'{}' cannot be run: {}", executable, std::strerror(errno)));
    }
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);

    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become(argv.data(), socket_fd, parent);
    const int error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return fail(ErrorCode::kInternal, fmt::format("no new process: {}", std::strerror(error)));
    ::setpgid(pid, pid);  // as the child does: whoever comes first, kill() finds the group
    return ChildProcess(pid);
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
}

ChildProcess::~ChildProcess() {
    if (pid_ < 0) return;
    kill();
    reap();
}

Result<int> ChildProcess::open_pidfd() const {
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (fd < 0) return fail(ErrorCode::kInternal, fmt::format("no process descriptor: {}", std::strerror(errno)));
    return fd;
}

void ChildProcess::kill() {
    if (pid_ > 0) ::kill(-pid_, SIGKILL);
}

ExitStatus ChildProcess::reap() {
    int status = 0;
    pid_t reaped = 0;
    do {
        reaped = ::waitpid(pid_, &status, 0);
    } while (reaped < 0 && errno == EINTR);
    pid_ = -1;
    if (reaped < 0) return {false, -1};  // someone else reaped it
    return WIFSIGNALED(status) ? ExitStatus{true, WTERMSIG(status)} : ExitStatus{false, WEXITSTATUS(status)};
}

}  // namespace sutazai::ipc
