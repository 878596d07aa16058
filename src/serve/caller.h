#pragma once

#include <string>

namespace sutazai::serve {

/// Whose request it is (docs/decisions/0015-keys-and-administrators.md).
struct Caller {
    std::string tenant = {};  ///< made from their API key; empty where none is asked for
    bool admin = false;       ///< may change what others have
    std::string via = {};     ///< servers that the request came through
    bool background = false;  ///< nobody waits for the answer: it makes way for others (foreground.h)
};

}  // namespace sutazai::serve
