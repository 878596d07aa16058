#pragma once

#include <exception>
#include <string>

namespace sutazai {

/// What an exception says, for the top of a thread or of a detached coroutine.
[[nodiscard]] inline std::string text_of(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "an unknown exception";
    }
}

}  // namespace sutazai
