#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

#include "text/answer_parser.h"

namespace sutazai::text::testing {

/// Answers as small models write them: <think>thoughts</think>, content, then calls, each <call>name{JSON}</call>, with
/// white space between. Simple, and slow; for tests of AnswerParser.
class TaggedShape final : public AnswerShape {
  public:
    TaggedShape() {
        marks_.any = {"<think>", "</think>", "<call>"};
        marks_.thoughts_begin = "<think>";
        marks_.thoughts_end = {"</think>"};
    }

    [[nodiscard]] ParsedAnswer parse(const std::string& text) const override {
        ParsedAnswer out;
        std::string_view rest = text;
        std::string_view begin = rest;
        skip_spaces(begin);
        if (begin.starts_with("<think>")) {
            rest = begin.substr(7);
            const std::size_t end = rest.find("</think>");
            out.reasoning = before(rest, end, "</think>");
            if (end == std::string_view::npos) return out;
            rest.remove_prefix(end + 8);
            skip_spaces(rest);
        } else if (is_partly(begin, "<think>")) {
            return out;
        }
        const std::size_t call = rest.find("<call>");
        out.content = before(rest, call, "<call>");
        if (call == std::string_view::npos) return out;
        rest.remove_prefix(call);
        while (!rest.empty() && take(rest, "<call>")) {
            if (!parse_call(rest, out)) return out;
            skip_spaces(rest);
        }
        out.status = rest.empty()                ? ParsedAnswer::Status::kWhole
                     : is_partly(rest, "<call>") ? ParsedAnswer::Status::kMore
                                                 : ParsedAnswer::Status::kBroken;
        return out;
    }

  private:
    static bool take(std::string_view& rest, std::string_view mark) {
        if (!rest.starts_with(mark)) return false;
        rest.remove_prefix(mark.size());
        return true;
    }
    static bool is_partly(std::string_view rest, std::string_view mark) { return mark.starts_with(rest); }
    static void skip_spaces(std::string_view& rest) {
        constexpr std::string_view kSpaces = " \n\r\t";
        rest.remove_prefix(std::min(rest.find_first_not_of(kSpaces), rest.size()));
    }
    /// Up to `end`; where that is not known yet, without what may begin `mark`.
    static std::string before(std::string_view rest, std::size_t end, std::string_view mark) {
        if (end != std::string_view::npos) return std::string(rest.substr(0, end));
        for (std::size_t n = std::min(mark.size() - 1, rest.size()); n > 0; --n) {
            if (rest.ends_with(mark.substr(0, n))) return std::string(rest.substr(0, rest.size() - n));
        }
        return std::string(rest);
    }
    /// False: the text has ended, or is broken, which is said in `out`.
    static bool parse_call(std::string_view& rest, ParsedAnswer& out) {
        std::string name;
        while (!rest.empty() && std::isalpha(static_cast<unsigned char>(rest.front())) != 0) {
            name += rest.front();
            rest.remove_prefix(1);
        }
        if (rest.empty()) return false;
        if (rest.front() != '{' || name.empty()) return broken(out);
        std::size_t end = 0;
        int depth = 0;
        bool in_string = false;
        for (bool escaped = false; end < rest.size(); ++end) {
            const char c = rest[end];
            if (in_string) {
                if (!escaped && c == '"') in_string = false;
                escaped = !escaped && c == '\\';
                continue;
            }
            if (c == '"') in_string = true;
            if (c == '{' || c == '[') ++depth;
            if ((c == '}' || c == ']') && --depth == 0) break;
        }
        out.calls.push_back({"", name, std::string(rest.substr(0, std::min(end + 1, rest.size())))});
        if (end >= rest.size()) return false;
        rest.remove_prefix(end + 1);
        if (take(rest, "</call>")) return true;
        return is_partly(rest, "</call>") ? false : broken(out);
    }
    static bool broken(ParsedAnswer& out) {
        out.status = ParsedAnswer::Status::kBroken;
        return false;
    }
};

/// All that an answer adds to its message, cut at each place of `cuts`, which rise.
template <typename Cuts>
Delta read_in_pieces(std::shared_ptr<const AnswerShape> shape, std::string_view answer, const Cuts& cuts, bool whole) {
    int n_ids = 0;
    AnswerParser parser(std::move(shape), [&n_ids] { return "id" + std::to_string(n_ids++); });
    Delta out;
    std::size_t begin = 0;
    for (const std::size_t cut : cuts) {
        parser.push(answer.substr(begin, cut - begin), out);
        begin = cut;
    }
    parser.push(answer.substr(begin), out);
    parser.finish(whole, out);
    return out;
}

}  // namespace sutazai::text::testing
