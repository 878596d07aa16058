#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "text/answer_parser.h"

namespace sutazai::llama {

/// How a model answers one kind of chat: with these tools, this choice among them, thinking or not. llama-common makes
/// it of the chat template; it is the same whatever is said in the chat. Constant; any thread.
class ChatForm final : public text::AnswerShape {
  public:
    struct Impl;
    explicit ChatForm(std::unique_ptr<Impl> impl);
    ~ChatForm() override;

    [[nodiscard]] text::ParsedAnswer parse(const std::string& text) const override;

    /// GBNF that an answer, or what begins with a trigger in it, keeps to; empty: none.
    [[nodiscard]] const std::string& grammar() const;
    /// Any of these begins what keeps to the grammar; empty: all of the answer does, the beginning of which is
    /// beginning().
    [[nodiscard]] const std::vector<std::string>& triggers() const;
    /// What the template writes of an answer, in front of what the model does.
    [[nodiscard]] const std::string& beginning() const;
    /// Names of tokens that are a part of what is parsed, though some have no text.
    [[nodiscard]] const std::vector<std::string>& marks_by_name() const;
    [[nodiscard]] const std::vector<std::string>& stops() const;  ///< that end an answer of this form

  private:
    std::unique_ptr<Impl> impl_;
};

/// What a chat template can do, and the forms of its answers. The template is analysed once; forms are kept, the least
/// recently used given up. Any thread.
class ChatForms {
  public:
    /// `bos` and `eos` are the names of the tokens that begin and end a text. Analyses the template, some milliseconds.
    /// One that cannot be analysed knows no tools and does not think.
    ChatForms(const std::string& source, const std::string& bos, const std::string& eos);
    ~ChatForms();
    ChatForms(const ChatForms&) = delete;
    ChatForms& operator=(const ChatForms&) = delete;

    [[nodiscard]] bool knows_tools() const { return knows_tools_; }
    [[nodiscard]] bool thinks() const { return thinks_; }
    /// Names of tokens that parses of this template's answers may want to see.
    [[nodiscard]] const std::vector<std::string>& marks_by_name() const { return marks_by_name_; }

    /// The form of the next answer in a chat; null: it is plain text. What is made for one salt is given to no other.
    /// kInvalidArgument (field "tools", "tool_choice" or "chat_template_kwargs") when there is none.
    [[nodiscard]] Result<std::shared_ptr<const ChatForm>> of(const Chat& chat, std::string_view salt);

    [[nodiscard]] std::size_t n_made() const;  ///< for tests

  private:
    struct Analysis;
    using Made = Result<std::shared_ptr<const ChatForm>>;
    [[nodiscard]] Made make(const Chat& chat) const;

    std::unique_ptr<Analysis> analysis_;
    bool knows_tools_ = false;
    bool thinks_ = false;
    std::vector<std::string> marks_by_name_;

    mutable std::mutex mutex_;
    std::list<std::pair<std::string, std::shared_ptr<const ChatForm>>> kept_;  ///< the last used first
    std::unordered_map<std::string_view, decltype(kept_)::iterator> by_key_;
    std::size_t n_made_ = 0;
};

}  // namespace sutazai::llama
