#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

/// One child process. Linux only (5.3 or newer, for pidfd).
namespace sutazai::ipc {

/// An engine ends with it when the file of its model was written to: what it would compute is no answer of any model.
inline constexpr int kChangedFileExit = 75;

struct ExitStatus {
    bool by_signal = false;
    int value = 0;  ///< signal number or exit code

    /// "was killed by signal 9 (Killed)", "ended with exit code 3", or a reason where the status tells one.
    [[nodiscard]] std::string describe() const;
    [[nodiscard]] bool success() const { return !by_signal && value == 0; }
};

/// Owns a child: the destructor kills it, with what it has started, if it still runs, and reaps it, so that neither an
/// orphan nor a zombie is left. Move-only; not thread-safe.
class ChildProcess {
  public:
    /// Where the child finds the socket that it is given.
    static constexpr int kSocketFd = 3;

    /// Runs `arguments` (the first is the executable's path) with `socket_fd` as descriptor kSocketFd, an empty
    /// standard input, the environment and outputs of this process, and a process group of its own, so that ctrl-C at a
    /// terminal does not reach it. It is killed when the calling *thread* ends. kInternal when it could not be started.
    [[nodiscard]] static Result<ChildProcess> spawn(const std::vector<std::string>& arguments, int socket_fd);

    ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    ChildProcess& operator=(ChildProcess&& other) noexcept;
    ~ChildProcess();

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// A new descriptor that becomes readable when the child has ended. The caller closes it.
    [[nodiscard]] Result<int> open_pidfd() const;

    void kill();  ///< SIGKILL to its process group; nothing once reaped
    /// Waits for the end, which after kill() is near. Call once.
    ExitStatus reap();

  private:
    explicit ChildProcess(pid_t pid) : pid_(pid) {}
    pid_t pid_;  // -1 once reaped
};

}  // namespace sutazai::ipc
