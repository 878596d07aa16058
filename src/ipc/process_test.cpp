#include "ipc/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <string>

namespace sutazai::ipc {
namespace {

/// Runs `script` with one end of a socket pair as descriptor 3; what it writes there ends up in said().
class Script {
  public:
    explicit Script(const std::string& script) {
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
        auto process = ChildProcess::spawn({"/bin/sh", "-c", script}, ends_[1]);
        EXPECT_TRUE(process);
        process_.emplace(std::move(*process));
        ::close(ends_[1]);
    }
    ~Script() { ::close(ends_[0]); }
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;

    std::string said() const {
        std::string out;
        std::array<char, 256> buffer{};
        for (ssize_t n = 0; (n = ::read(ends_[0], buffer.data(), buffer.size())) > 0;) {
            out.append(buffer.data(), static_cast<std::size_t>(n));
        }
        return out;
    }
    std::string next_line() const {
        std::string line;
        for (char c = 0; ::read(ends_[0], &c, 1) == 1 && c != '\n';) line += c;
        return line;
    }
    ChildProcess& process() { return *process_; }

  private:
    std::array<int, 2> ends_{};
    std::optional<ChildProcess> process_;
};

TEST(ExitStatus, SaysWhatHappened) {
    EXPECT_EQ((ExitStatus{true, SIGKILL}.describe()), "was killed by signal 9 (Killed)");
    EXPECT_EQ((ExitStatus{true, SIGSEGV}.describe()), "was killed by signal 11 (Segmentation fault)");
    EXPECT_EQ((ExitStatus{false, 3}.describe()), "ended with exit code 3");
}

TEST(ChildProcess, ReportsCodeAndSignal) {
    EXPECT_EQ(Script("exit 3").process().reap().describe(), "ended with exit code 3");
    EXPECT_EQ(Script("kill -9 $$").process().reap().describe(), "was killed by signal 9 (Killed)");
    EXPECT_TRUE(Script("exit 0").process().reap().success());
}

TEST(ChildProcess, HasOnlyStandardDescriptorsAndTheSocket) {
    const int leaky = ::open("/dev/null", O_RDONLY);  // without close-on-exec, as a careless library leaves it
    ASSERT_GE(leaky, 0);
    Script script("for f in /proc/$$/fd/*; do if [ -e $f ]; then echo ${f##*/} >&3; fi; done; cat; echo end >&3");
    EXPECT_EQ(script.said(), "0\n1\n2\n3\nend\n");
    ::close(leaky);
}

TEST(ChildProcess, SignalsAreAtTheirDefaultsAndUnblocked) {
    const auto before = ::signal(SIGTERM, SIG_IGN);
    Script script("kill -TERM $$; sleep 5");
    EXPECT_EQ(script.process().reap().describe(), "was killed by signal 15 (Terminated)");
    ::signal(SIGTERM, before);
}

TEST(ChildProcess, LeadsAProcessGroup) {
    Script script("exec sleep 600");
    EXPECT_EQ(::getpgid(script.process().pid()), script.process().pid());
}

TEST(ChildProcess, DestructionKillsAndReaps) {
    pid_t pid = 0;
    {
        Script script("exec sleep 600");
        pid = script.process().pid();
        EXPECT_EQ(::kill(pid, 0), 0);
    }
    EXPECT_EQ(::kill(pid, 0), -1);
}

// A shell may run its last command in a process of its own. One that outlived the shell would keep open the pipe that a
// test's runner reads, which then waits for it.
TEST(ChildProcess, DestructionKillsWhatTheChildHasStarted) {
    Script script("sleep 600 & echo started >&3; wait");
    EXPECT_EQ(script.next_line(), "started");
    script.process().kill();
    EXPECT_EQ(script.said(), "") << "the end of what has the other end of the socket";
}

TEST(ChildProcess, AMissingExecutableIsNamed) {
    const auto process = ChildProcess::spawn({"/nowhere/sutazai"}, 0);
    ASSERT_FALSE(process);
    EXPECT_EQ(process.error().message, "'/nowhere/sutazai' cannot be run: No such file or directory");
}

}  // namespace
}  // namespace sutazai::ipc
