#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

namespace sutazai::ipc {

/// The last arguments of this process as the list of processes shows them (`ps`, /proc/PID/cmdline).
class ProcessTitle {
  public:
    /// `arguments` as main() got them, before anything was shown in their place.
    explicit ProcessTitle(std::span<char* const> arguments);

    /// Writes `words` over the arguments, which are lost; what has no room where they lay is cut off. Allocates
    /// nothing. One call at a time.
    void show(std::initializer_list<std::string_view> words);

  private:
    std::span<char> memory_;  ///< without the last zero
};

}  // namespace sutazai::ipc
