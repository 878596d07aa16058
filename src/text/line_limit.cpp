#include "text/line_limit.h"

namespace sutazai::text {

LineLimit::Verdict LineLimit::push(std::string_view piece, std::chrono::milliseconds elapsed) {
    const bool is_late = most_.count() > 0 && elapsed > most_;
    for (std::size_t i = 0; i < piece.size(); ++i) {
        const char byte = piece[i];
        if (begins_line_ && (byte == ' ' || byte == '\t')) {
            ++indent_;
            continue;
        }
        if (begins_line_ && indent_ < least_indent_) return {i, true};
        begins_line_ = byte == '\n';
        indent_ = 0;
        if (begins_line_ && is_late) return {i + 1, true};
    }
    return {piece.size()};
}

}  // namespace sutazai::text
