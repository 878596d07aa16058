#include "text/answer_parser.h"

#include <algorithm>
#include <utility>

namespace sutazai::text {
namespace {

/// A parse waits for so much more text, in parts of what has come since the structure was last clear: the work grows
/// with the text and not with its square.
constexpr std::size_t kWaits = 16;

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/// Where the white space in the end of text[0, end) begins, not before `from`.
std::size_t without_spaces(std::string_view text, std::size_t from, std::size_t end) {
    while (end > from && is_space(text[end - 1])) --end;
    return end;
}

}  // namespace

bool AnswerParser::JsonEnd::take(char byte) {
    if (in_string) {
        if (escaped) {
            escaped = false;
        } else if (byte == '\\') {
            escaped = true;
        } else if (byte == '"') {
            in_string = false;
        }
        return false;
    }
    if (byte == '"') in_string = true;
    if (byte == '{' || byte == '[') ++depth;
    if (byte == '}' || byte == ']') --depth;
    return depth <= 0;
}

AnswerParser::AnswerParser(std::shared_ptr<const AnswerShape> shape, std::function<std::string()> new_id)
    : shape_(std::move(shape)), new_id_(std::move(new_id)), thinks_(shape_->marks().begins_thinking) {
    for (const std::string& mark : shape_->marks().any) {
        first_bytes_.set(static_cast<unsigned char>(mark.front()));
        longest_mark_ = std::max(longest_mark_, mark.size());
    }
}

void AnswerParser::push(std::string_view piece, Delta& out) {
    text_ += piece;
    follow_thoughts();
    switch (mode_) {
        case Mode::kRaw: out.content += piece; break;
        case Mode::kNothing: break;
        case Mode::kContent:
        case Mode::kReasoning: scan_text(out); break;
        case Mode::kArguments: scan_arguments(out); break;
        case Mode::kParse:
            if (text_.size() >= next_parse_) parse(out);
            break;
    }
}

void AnswerParser::finish(bool whole, Delta& out) {
    if (mode_ == Mode::kRaw || mode_ == Mode::kNothing) return;
    ++n_parses_;
    const ParsedAnswer parsed = shape_->parse(text_);
    if (parsed.status == ParsedAnswer::Status::kBroken && parsed.calls.empty()) return give_up(out);
    emit(parsed, true, out);
    const bool is_open = parsed.status == ParsedAnswer::Status::kMore && calls_.empty();
    if (whole && is_open && !accounts_for_all(parsed)) give_up(out);
}

/// Thoughts come before what is said. Each byte is looked at once, but for a tag's length.
void AnswerParser::follow_thoughts() {
    const AnswerShape::Marks& marks = shape_->marks();
    while (!marks.thoughts_begin.empty()) {
        const auto wait = [&](std::size_t longest) {
            if (text_.size() >= longest) thoughts_looked_ = std::max(thoughts_looked_, text_.size() - longest + 1);
        };
        if (!thinks_) {
            if (content_out_ > 0 || has_calls()) return;
            const std::size_t at = text_.find(marks.thoughts_begin, thoughts_looked_);
            if (at == std::string::npos) return wait(marks.thoughts_begin.size());
            thoughts_looked_ = at + marks.thoughts_begin.size();
            if (!may_begin_thoughts(at)) continue;
            thinks_ = true;
            thoughts_from_ = thoughts_looked_;
            continue;
        }
        std::size_t first = std::string::npos;
        std::size_t length = 0;
        std::size_t longest = 1;
        for (const std::string& end : marks.thoughts_end) {
            longest = std::max(longest, end.size());
            const std::size_t at = text_.find(end, thoughts_looked_);
            if (at >= first) continue;
            first = at;
            length = end.size();
        }
        if (first == std::string::npos) return wait(longest);
        thinks_ = false;
        thoughts_to_ = first;
        thoughts_looked_ = thoughts_end_ = first + length;
    }
}

/// Nothing has been said before them.
bool AnswerParser::may_begin_thoughts(std::size_t at) const {
    std::string_view before = std::string_view(text_).substr(thoughts_end_, at - thoughts_end_);
    before = before.substr(0, without_spaces(before, 0, before.size()));
    while (!before.empty() && is_space(before.front())) before.remove_prefix(1);
    return thoughts_end_ == 0 ? before.empty() : before == shape_->marks().header && !before.empty();
}

void AnswerParser::parse(Delta& out) {
    ++n_parses_;
    const ParsedAnswer parsed = shape_->parse(text_);
    if (parsed.status == ParsedAnswer::Status::kBroken && parsed.calls.empty()) return give_up(out);
    emit(parsed, false, out);
    choose_mode(parsed);
}

void AnswerParser::choose_mode(const ParsedAnswer& parsed) {
    if (parsed.status == ParsedAnswer::Status::kBroken) {
        mode_ = Mode::kNothing;
        return;
    }
    if (!parsed.calls.empty()) {
        const std::string& arguments = parsed.calls.back().arguments;
        const bool is_last = calls_.size() == parsed.calls.size() && calls_.back().arguments_out == arguments.size();
        if (is_last && arguments.starts_with('{') && text_.ends_with(arguments)) {
            json_ = {};
            if (std::ranges::none_of(arguments, [&](char byte) { return json_.take(byte); })) {
                mode_ = Mode::kArguments;
                scanned_ = text_.size();
                return;
            }
        }
    } else if (ends_in_content(parsed)) {
        mode_ = Mode::kContent;
        raw_from_ = text_.size() - (parsed.content.size() - content_out_);
        scanned_ = first_part(std::max(raw_from_, text_.size() - std::min(text_.size(), longest_mark_)));
        return;
    } else if (parsed.content.empty() && ends_in_thoughts(parsed)) {
        mode_ = Mode::kReasoning;
        raw_from_ = text_.size() - (parsed.reasoning.size() - reasoning_out_);
        scanned_ = first_part(std::max(raw_from_, text_.size() - std::min(text_.size(), longest_mark_)));
        return;
    }
    if (mode_ != Mode::kParse) mode_began_ = text_.size();
    mode_ = Mode::kParse;
    next_parse_ = text_.size() + 1 + (text_.size() - mode_began_) / kWaits;
}

/// What there is in a call's place is none: it is said as it is.
void AnswerParser::give_up(Delta& out) {
    mode_ = Mode::kRaw;
    // The shape says nothing of the thoughts then.
    if (thinks_ || thoughts_end_ > 0) {
        const std::size_t to = thinks_ ? text_.size() : thoughts_to_;
        std::size_t begin = thoughts_from_;
        while (begin < to && is_space(text_[begin])) ++begin;
        begin = std::min(begin + thoughts_told_, to);
        const std::size_t end = without_spaces(text_, begin, to);
        tell_thoughts(std::string_view(text_).substr(begin, end - begin), out);
        if (thinks_) return;
    }
    const std::size_t from = leftover();
    out.content.append(text_, from);
    content_out_ += text_.size() - from;
}

/// Where the text begins that is neither out as content nor thoughts.
std::size_t AnswerParser::leftover() const {
    if (content_out_ > 0) return raw_from_;
    std::size_t from = thoughts_end_;
    while (thoughts_end_ > 0 && from < text_.size() && is_space(text_[from])) ++from;
    return std::min(from, text_.size());
}

/// The content is the text's end as it stands there. Some letters of it may stand in two places.
bool AnswerParser::ends_in_content(const ParsedAnswer& parsed) {
    const std::string& content = parsed.content;
    if (content.empty() || !text_.ends_with(content)) return false;
    const std::size_t begin = text_.size() - content.size();
    if (!content_begin_) {
        if (text_.find(content, thoughts_end_) != begin) return false;
        content_begin_ = begin;
    }
    return *content_begin_ == begin;
}

bool AnswerParser::ends_in_thoughts(const ParsedAnswer& parsed) const {
    if (parsed.reasoning.empty() || !thinks_ || !text_.ends_with(parsed.reasoning)) return false;
    std::size_t begin = thoughts_from_;
    while (begin < text_.size() && is_space(text_[begin])) ++begin;
    return text_.size() - begin == parsed.reasoning.size();
}

bool AnswerParser::accounts_for_all(const ParsedAnswer& parsed) {
    if (!parsed.content.empty()) return ends_in_content(parsed);
    if (ends_in_thoughts(parsed)) return true;
    return without_spaces(text_, leftover(), text_.size()) == leftover();
}

AnswerParser::Fit AnswerParser::fit(std::size_t at) const {
    const std::string_view rest = std::string_view(text_).substr(at);
    Fit best = Fit::kNone;
    for (const std::string& mark : shape_->marks().any) {
        if (rest.starts_with(mark)) return Fit::kWhole;
        if (std::string_view(mark).starts_with(rest)) best = Fit::kPart;
    }
    return best;
}

/// Where what may become a mark begins, at `from` or behind it; the end where nothing does.
std::size_t AnswerParser::first_part(std::size_t from) const {
    for (std::size_t at = from; at < text_.size(); ++at) {
        if (first_bytes_[static_cast<unsigned char>(text_[at])] && fit(at) == Fit::kPart) return at;
    }
    return text_.size();
}

void AnswerParser::scan_text(Delta& out) {
    Fit found = Fit::kNone;
    for (; scanned_ < text_.size(); ++scanned_) {
        if (!first_bytes_[static_cast<unsigned char>(text_[scanned_])]) continue;
        found = fit(scanned_);
        if (found != Fit::kNone) break;
    }
    // White space in front of a mark may belong to it.
    const std::size_t end = without_spaces(text_, raw_from_, scanned_);
    const std::string_view more = std::string_view(text_).substr(raw_from_, end - raw_from_);
    if (mode_ == Mode::kContent) {
        out.content += more;
        content_out_ += more.size();
    } else {
        tell_thoughts(more, out);
        reasoning_out_ += more.size();
    }
    raw_from_ = end;
    if (found != Fit::kWhole) return;
    mode_ = Mode::kParse;
    mode_began_ = text_.size();
    parse(out);
}

void AnswerParser::scan_arguments(Delta& out) {
    const std::size_t begin = scanned_;
    bool ended = false;
    while (scanned_ < text_.size() && !ended) ended = json_.take(text_[scanned_++]);
    calls_.back().arguments_out += scanned_ - begin;
    ToolCallDelta more{.index = static_cast<std::uint32_t>(calls_.size() - 1)};
    more.arguments.assign(text_, begin, scanned_ - begin);
    out.append({.tool_calls = {std::move(more)}});
    if (!ended) return;
    mode_ = Mode::kParse;
    mode_began_ = text_.size();
    parse(out);
}

void AnswerParser::emit(const ParsedAnswer& parsed, bool last, Delta& out) {
    const std::size_t thoughts = without_spaces(parsed.reasoning, 0, parsed.reasoning.size());
    if (thoughts > reasoning_out_) {
        tell_thoughts(std::string_view(parsed.reasoning).substr(reasoning_out_, thoughts - reasoning_out_), out);
        reasoning_out_ = thoughts;
    }
    emit_content(parsed, last, out);
    emit_calls(parsed, last, out);
}

/// Some shapes keep the white space that they begin with; it is never told.
void AnswerParser::tell_thoughts(std::string_view more, Delta& out) {
    while (thoughts_told_ == 0 && !more.empty() && is_space(more.front())) more.remove_prefix(1);
    out.reasoning += more;
    thoughts_told_ += more.size();
}

void AnswerParser::emit_content(const ParsedAnswer& parsed, bool last, Delta& out) {
    const std::string& content = parsed.content;
    const bool ends_text = ends_in_content(parsed);
    std::size_t end = content.size();
    if (!last && parsed.calls.empty()) {
        if (ends_text) {
            const std::size_t begin = text_.size() - content.size();
            const std::size_t tail = text_.size() - std::min(text_.size(), longest_mark_);
            end = first_part(std::max(begin, tail)) - begin;
        }
        end = without_spaces(content, 0, end);
    }
    if (end <= content_out_) return;
    out.content.append(content, content_out_, end - content_out_);
    content_out_ = end;
    const std::size_t begin = content_begin_ ? *content_begin_ : text_.find(content, thoughts_end_);
    if (begin != std::string::npos) raw_from_ = begin + end;
}

/// A name that comes behind the arguments comes too late: by then they are out.
bool AnswerParser::names_itself(const ToolCall& call) {
    const std::size_t arguments = text_.ends_with(call.arguments) ? text_.size() - call.arguments.size()
                                                                  : text_.find(call.arguments, named_from_);
    const std::size_t id = call.id.empty() ? std::string::npos : text_.find(call.id, named_from_);
    if (arguments != std::string::npos) named_from_ = arguments + call.arguments.size();
    return id != std::string::npos && (arguments == std::string::npos || id < arguments);
}

void AnswerParser::emit_calls(const ParsedAnswer& parsed, bool last, Delta& out) {
    for (std::size_t i = 0; i < parsed.calls.size(); ++i) {
        const ToolCall& call = parsed.calls[i];
        ToolCallDelta more{.index = static_cast<std::uint32_t>(i)};
        if (i == calls_.size()) {
            // A name is whole once something follows it.
            const bool is_named = last || i + 1 < parsed.calls.size() || !call.arguments.empty();
            if (call.name.empty() || !is_named) return;
            more.id = names_itself(call) ? call.id : new_id_();
            more.name = call.name;
            calls_.emplace_back();
        }
        std::size_t& arguments_out = calls_[i].arguments_out;
        if (call.arguments.size() > arguments_out) {
            more.arguments = call.arguments.substr(arguments_out);
            arguments_out = call.arguments.size();
        }
        if (!more.name.empty() || !more.arguments.empty()) out.append({.tool_calls = {std::move(more)}});
    }
}

}  // namespace sutazai::text
