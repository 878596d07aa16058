#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "sched/types.h"

namespace sutazai::engine {

/// The tokens of a chat, or kContextOverflow when they are too many.
using ChatReader = std::function<Result<std::vector<sched::Token>>(const Chat& chat)>;

/// The chat as `read` takes it: without its oldest messages, as few as need be. What the system says and the last
/// message stay, and what is left besides begins with a user's message, as templates expect. kContextOverflow, as for
/// what is left then, when that is too long as well. Asks `read` about log2 of the number of messages times.
[[nodiscard]] Result<std::vector<sched::Token>> read_shortened(const Chat& chat, const ChatReader& read);

}  // namespace sutazai::engine
