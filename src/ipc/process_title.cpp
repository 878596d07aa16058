#include "ipc/process_title.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace sutazai::ipc {

// The kernel has put the arguments one behind the other.
ProcessTitle::ProcessTitle(std::span<char* const> arguments) {
    if (arguments.empty()) return;
    memory_ = {arguments.front(), arguments.back() + std::strlen(arguments.back())};
}

void ProcessTitle::show(std::initializer_list<std::string_view> words) {
    auto rest = memory_;
    for (const std::string_view word : words) {
        const std::size_t n = std::min(word.size(), rest.size());
        std::copy_n(word.data(), n, rest.data());
        rest = rest.subspan(n);
        if (rest.empty()) return;
        rest.front() = '\0';
        rest = rest.subspan(1);
    }
    std::ranges::fill(rest, '\0');
}

}  // namespace sutazai::ipc
