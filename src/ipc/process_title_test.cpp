#include "ipc/process_title.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sutazai::ipc {
namespace {

using namespace std::string_literals;

/// Arguments as the kernel lays them out, with what follows them.
struct Memory {
    std::string bytes;
    std::vector<char*> arguments;

    explicit Memory(const std::vector<std::string>& words) {
        for (const std::string& word : words) bytes += word + '\0';
        bytes += "HOME=/root"s + '\0';
        std::size_t at = 0;
        for (const std::string& word : words) {
            arguments.push_back(bytes.data() + at);
            at += word.size() + 1;
        }
    }
    std::span<char* const> from(std::size_t first) const { return std::span(arguments).subspan(first); }
};

TEST(ProcessTitle, LiesWhereTheArgumentsLay) {
    Memory memory({"sutazai", "engine", "--standby", "............"});
    ProcessTitle title(memory.from(2));
    title.show({"--standby"});
    EXPECT_EQ(memory.bytes, "sutazai\0engine\0--standby\0\0\0\0\0\0\0\0\0\0\0\0\0\0HOME=/root\0"s);
    title.show({"--name", "qwen2.5:3b"});
    EXPECT_EQ(memory.bytes, "sutazai\0engine\0--name\0qwen2.5:3b\0\0\0\0\0\0HOME=/root\0"s);
}

TEST(ProcessTitle, TouchesNothingBehindTheArguments) {
    Memory memory({"sutazai", "--standby", "..."});
    ProcessTitle(memory.from(1)).show({"--name", std::string(100, 'x')});
    EXPECT_EQ(memory.bytes, "sutazai\0--name\0xxxxxx\0HOME=/root\0"s);
    Memory one({"a"});
    ProcessTitle(one.from(0)).show({"bcd", "e"});
    EXPECT_EQ(one.bytes, "b\0HOME=/root\0"s);
    Memory empty({""});
    ProcessTitle(empty.from(0)).show({"bcd"});
    EXPECT_EQ(empty.bytes, "\0HOME=/root\0"s);
    ProcessTitle({}).show({"bcd"});
}

}  // namespace
}  // namespace sutazai::ipc
