#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>

namespace sutazai::text {

/// Ends what is written into a gap of somebody's code, as llama-server's n_indent and t_max_predict_ms do: at the first
/// line behind the first that is indented by less than it should be, and at the first end of a line once it has taken
/// too long. Pure; one user at a time.
class LineLimit {
  public:
    LineLimit() = default;  ///< limits nothing
    /// Characters of white space that each new line begins with at least; the time after which a line is the last. 0 is
    /// off for either.
    LineLimit(int least_indent, std::chrono::milliseconds most) : least_indent_(least_indent), most_(most) {}

    struct Verdict {
        std::size_t n_bytes;  ///< of the piece that may go out
        bool ends = false;    ///< it ends with them
    };
    /// `elapsed` since the first token.
    [[nodiscard]] Verdict push(std::string_view piece, std::chrono::milliseconds elapsed);
    [[nodiscard]] bool limits() const { return least_indent_ > 0 || most_.count() > 0; }

  private:
    int least_indent_ = 0;
    std::chrono::milliseconds most_{0};
    bool begins_line_ = false;  ///< behind the end of a line there was nothing but white space
    int indent_ = 0;
};

}  // namespace sutazai::text
