#pragma once

#include <vector>

namespace sutazai::loadgen {

/// Processor seconds (user and system) that these processes, their descendants and the ended children of all of these
/// have used. What a descendant used before it ended counts through whoever waited for it.
double cpu_seconds(const std::vector<int>& pids);

/// The same for this process alone.
double own_cpu_seconds();

}  // namespace sutazai::loadgen
