#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/generation.h"

/// What is typed in a conversation: prompts, of one line or several, and commands.
namespace sutazai::cli {

/// Puts lines together: what begins with """ goes on until the next """.
class PromptReader {
  public:
    /// All that was typed once it is complete; nothing while more is to come.
    [[nodiscard]] std::optional<std::string> add(std::string_view line);
    [[nodiscard]] bool is_open() const { return open_.has_value(); }
    void reset() { open_.reset(); }

  private:
    std::optional<std::string> open_;  // what has come of a text of several lines
};

struct ChatCommand {
    enum class Kind : std::uint8_t { kNone, kBye, kClear, kHelp, kSetSystem, kSetParameter, kShow };
    Kind kind = Kind::kNone;  ///< none: it is a prompt
    std::string name = {};    ///< of a parameter; what to show
    std::string value = {};   ///< of it; the system message
};

/// kInvalidArgument for what begins with a slash and is no command.
[[nodiscard]] Result<ChatCommand> parse_chat_command(std::string_view typed);

/// What /? prints.
[[nodiscard]] std::string chat_help();

/// "/set parameter NAME VALUE": the parameters of a Modelfile that concern one answer. kInvalidArgument with what it
/// may be.
[[nodiscard]] Result<void> set_parameter(GenerationRequest& request, std::string_view name, std::string_view value);

/// As the conversation's system message, in place of one that is there.
void set_system(Chat& chat, std::string text);

/// Names of files that look like images', as the prompt has them.
[[nodiscard]] std::vector<std::string> images_named_in(std::string_view prompt);

/// The user's message: the images that the prompt names and that are there, and the prompt. kInvalidArgument for one
/// that cannot be read or is no image that is known here. Reads files.
[[nodiscard]] Result<ChatMessage> message_with_images(std::string prompt);

}  // namespace sutazai::cli
