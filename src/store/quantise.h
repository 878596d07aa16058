#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/create.h"

namespace sutazai::store {

/// Quantises in a process of its own, `sutazai quantize-worker`: llama.cpp can be stopped no other way, and what brings
/// it down brings down nothing else. `threads`: 0 is one a processor. What the worker says at its end becomes the
/// error; when it says nothing, how it ended.
[[nodiscard]] Quantiser quantiser_process(std::uint32_t threads);

/// The same with another program in place of `sutazai quantize-worker`: for tests.
[[nodiscard]] Quantiser quantiser_process(std::vector<std::string> command);

/// The worker's side of the socket that it is given (ipc::ChildProcess::kSocketFd): a line "size <bytes>" before it
/// begins to write, and "error <text>" when it fails.
inline constexpr const char* kSizeWord = "size";
inline constexpr const char* kErrorWord = "error";

}  // namespace sutazai::store
