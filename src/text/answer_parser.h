#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/generation.h"

/// Generated text to the parts of an assistant's message: what it thought, what it says, what it wants to be called.
namespace sutazai::text {

struct ParsedAnswer {
    enum class Status : std::uint8_t {
        kMore,    ///< more may come
        kWhole,   ///< it has come to its end
        kBroken,  ///< it is none of these, whatever comes
    };
    std::string reasoning = {};
    std::string content = {};
    std::vector<ToolCall> calls = {};
    Status status = Status::kMore;
};

/// What an answer looks like. Constant; any thread.
class AnswerShape {
  public:
    virtual ~AnswerShape() = default;
    AnswerShape(const AnswerShape&) = delete;
    AnswerShape& operator=(const AnswerShape&) = delete;

    /// All of the text so far. What it finds for a text it finds for all that begin so, or more. Does not throw.
    [[nodiscard]] virtual ParsedAnswer parse(const std::string& text) const = 0;

    struct Marks {
        /// Where content or thoughts may come to an end, or calls begin: one of these is in the text then.
        std::vector<std::string> any;
        std::string thoughts_begin;             ///< empty: it does not think
        std::vector<std::string> thoughts_end;  ///< each ends them
        bool begins_thinking = false;           ///< the prompt has `thoughts_begin` already
        std::string header = {};                ///< what the prompt ends with; comes again before more thoughts
    };
    [[nodiscard]] const Marks& marks() const { return marks_; }

  protected:
    AnswerShape() = default;
    Marks marks_;
};

/// Reads an answer as it comes, in pieces of any size, and says what each adds to the message. In all that is what the
/// shape finds in the whole text, however it was cut. What may belong to a mark or a call is held back until it is
/// known. The shape parses the whole text from its beginning, so it is asked only where the structure may change:
/// between that, content and thoughts are looked through for marks, and the JSON of arguments is followed to its end
/// (decisions/0037-tools-and-reasoning.md). Pieces are whole UTF-8 characters, and so is what comes out. Pure; one user
/// at a time.
class AnswerParser {
  public:
    /// `new_id` names calls that the model gave no name.
    AnswerParser(std::shared_ptr<const AnswerShape> shape, std::function<std::string()> new_id);

    /// Appends to `out`.
    void push(std::string_view piece, Delta& out);
    /// The end. `whole`: the model ended here by itself, so that what was held back and is no call is content; else a
    /// call that was cut off before its name is known is dropped.
    void finish(bool whole, Delta& out);

    [[nodiscard]] const std::string& text() const { return text_; }           ///< all of it
    [[nodiscard]] bool thinks() const { return thinks_; }                     ///< the text ends within thoughts
    [[nodiscard]] std::size_t thoughts_end() const { return thoughts_end_; }  ///< where in the text the last ones did
    [[nodiscard]] bool has_calls() const { return !calls_.empty(); }
    [[nodiscard]] std::size_t n_parses() const { return n_parses_; }  ///< for tests

  private:
    enum class Mode : std::uint8_t {
        kParse,      ///< the shape has to say what it is
        kContent,    ///< it goes on as content, up to the next mark
        kReasoning,  ///< the same of thoughts
        kArguments,  ///< within the JSON of the last call's arguments
        kRaw,        ///< all that follows is content
        kNothing,    ///< all that follows is left out
    };
    enum class Fit : std::uint8_t { kNone, kPart, kWhole };
    struct Call {
        std::size_t arguments_out = 0;
    };
    /// Follows a JSON value to its end.
    struct JsonEnd {
        int depth = 0;
        bool in_string = false;
        bool escaped = false;
        /// True with the byte that ends it.
        bool take(char byte);
    };

    void follow_thoughts();
    [[nodiscard]] bool may_begin_thoughts(std::size_t at) const;
    void parse(Delta& out);
    void scan_text(Delta& out);
    void scan_arguments(Delta& out);
    void emit(const ParsedAnswer& parsed, bool last, Delta& out);
    void tell_thoughts(std::string_view more, Delta& out);
    void emit_content(const ParsedAnswer& parsed, bool last, Delta& out);
    void emit_calls(const ParsedAnswer& parsed, bool last, Delta& out);
    [[nodiscard]] bool names_itself(const ToolCall& call);
    void choose_mode(const ParsedAnswer& parsed);
    void give_up(Delta& out);
    [[nodiscard]] bool ends_in_content(const ParsedAnswer& parsed);
    [[nodiscard]] bool ends_in_thoughts(const ParsedAnswer& parsed) const;
    [[nodiscard]] bool accounts_for_all(const ParsedAnswer& parsed);
    [[nodiscard]] std::size_t leftover() const;
    [[nodiscard]] Fit fit(std::size_t at) const;
    [[nodiscard]] std::size_t first_part(std::size_t from) const;

    std::shared_ptr<const AnswerShape> shape_;
    std::function<std::string()> new_id_;
    std::bitset<256> first_bytes_;  ///< of marks
    std::size_t longest_mark_ = 0;

    std::string text_;
    Mode mode_ = Mode::kParse;
    std::size_t mode_began_ = 0;  ///< kParse: how long the text was
    std::size_t next_parse_ = 0;  ///< kParse: how long it must be
    std::size_t scanned_ = 0;     ///< kContent, kReasoning, kArguments: what comes before has been looked at
    std::size_t raw_from_ = 0;    ///< of the text, what comes behind the content or thoughts that are out
    JsonEnd json_;
    std::size_t content_out_ = 0, reasoning_out_ = 0;
    std::size_t thoughts_told_ = 0;             ///< bytes of them that went out
    std::optional<std::size_t> content_begin_;  ///< in the text, once it is certain
    std::vector<Call> calls_;                   ///< that have been told
    std::size_t named_from_ = 0;                ///< where in the text the next call may begin
    bool thinks_;
    std::size_t thoughts_looked_ = 0, thoughts_from_ = 0, thoughts_to_ = 0, thoughts_end_ = 0;
    std::size_t n_parses_ = 0;
};

}  // namespace sutazai::text
