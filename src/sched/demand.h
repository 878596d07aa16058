#pragma once

#include <cstdlib>

namespace sutazai::sched {

/// An invariant of check(): aborts the process when it does not hold.
inline void demand(bool holds) {
    if (!holds) std::abort();
}

}  // namespace sutazai::sched
