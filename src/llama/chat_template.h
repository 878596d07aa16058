#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/generation.h"
#include "llama/tokenizer.h"

/// Conversations to prompts.
namespace sutazai::llama {

class ChatForms;  // chat_form.h

/// A run of a rendered prompt.
struct TextRun {
    std::string text;
    bool from_message = false;  ///< what somebody wrote, not the template: it holds no control tokens, whatever it says

    bool operator==(const TextRun&) const = default;
};

/// Constant after construction; any thread.
class ChatTemplate {
  public:
    virtual ~ChatTemplate() = default;
    ChatTemplate(const ChatTemplate&) = delete;
    ChatTemplate& operator=(const ChatTemplate&) = delete;

    /// Neighbours differ in their origin and none is empty. kInvalidArgument (field "messages") when the template
    /// refuses the messages, or takes more work for them than it should; kCancelled when `cancelled` says so, which is
    /// asked at each step of a Jinja template.
    [[nodiscard]] virtual Result<std::vector<TextRun>> render(const Chat& chat,
                                                              const CancelCheck& cancelled = {}) const = 0;

    /// The forms of its answers; null where all are plain text. Lives as long as this; any thread.
    [[nodiscard]] virtual ChatForms* forms() const { return nullptr; }

  protected:
    ChatTemplate() = default;
};

/// A Jinja template, as model files have them. `bos` and `eos` are the names of the tokens that begin and end a text.
/// kInvalidArgument with the parser's message when it is none.
[[nodiscard]] Result<std::unique_ptr<ChatTemplate>> jinja_template(const std::string& source, const std::string& bos,
                                                                   const std::string& eos);

/// A template of Go's text/template, as Ollama's models have them, used as Ollama uses it: one that goes through
/// .Messages by itself, or one that writes .System, .Prompt and .Response of one round at a time. kInvalidArgument with
/// the line when it is none.
[[nodiscard]] Result<std::unique_ptr<ChatTemplate>> go_template(const std::string& source);

/// Those that llama.cpp has itself: "chatml", "llama3", "gemma", ...
[[nodiscard]] std::vector<std::string> built_in_template_names();

/// One of them. kInvalidArgument with all names when there is
/// none of that name.
[[nodiscard]] Result<std::unique_ptr<ChatTemplate>> built_in_template(const std::string& name);

/// The one that a template of another kind, such as Ollama's, looks like to llama.cpp by the tokens that it writes.
/// kInvalidArgument when it looks like none.
[[nodiscard]] Result<std::unique_ptr<ChatTemplate>> recognized_template(const std::string& text);

/// Which template is used beside, or instead of, a file's own. Empty: nothing is said.
struct TemplateChoice {
    std::string own = {};  ///< Jinja, Go's, or the name of a built-in one: in place of the file's
    /// Where the file has none that can be read: a name, Go's, or a text that llama.cpp recognises.
    std::string fallback = {};
    std::string renderer = {};  ///< code of Ollama that writes this model's chats, to be named where there is none
};

/// A word that is in none of the messages, for finding a place in what is rendered: templates leave it as it is.
[[nodiscard]] std::string unused_word(const Chat& chat);

/// Joins neighbours of one origin and drops empty runs.
[[nodiscard]] std::vector<TextRun> tidy(std::vector<TextRun> runs);

}  // namespace sutazai::llama
