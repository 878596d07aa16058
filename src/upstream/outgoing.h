#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/generation.h"
#include "base/upstream_address.h"

/// Our requests in the words of another server. Pure.
namespace sutazai::upstream {

/// How an answer is told.
enum class AnswerForm : std::uint8_t {
    kChatChunks,   ///< OpenAI's chat.completion.chunk, as Server-Sent Events
    kTextChunks,   ///< OpenAI's text_completion, the same way
    kOllamaLines,  ///< Ollama's of /api/chat and /api/generate, a line each
    kOpenAiVectors,
    kOllamaVectors,  ///< of /api/embed
};

struct Outgoing {
    std::string path;  ///< behind the upstream's own
    std::string body;  ///< JSON
    AnswerForm form = AnswerForm::kChatChunks;
};

/// The request for one answer (`n` is not looked at), which streams. What the request leaves open is the other server's
/// to choose. kInvalidArgument names a field that would change the answer and that this kind of server has no word for.
[[nodiscard]] Result<Outgoing> make_outgoing(UpstreamKind kind, const std::string& model,
                                             const GenerationRequest& request);

/// Where the models of a server are listed, behind its own path.
[[nodiscard]] const char* list_path(UpstreamKind kind);

// The words of each family, for make_outgoing(). `extended`: the other server is a SutazAI, which knows more fields.
[[nodiscard]] Result<Outgoing> openai_request(const std::string& model, const GenerationRequest& request,
                                              bool extended);
[[nodiscard]] Result<Outgoing> ollama_request(const std::string& model, const GenerationRequest& request,
                                              bool extended);

}  // namespace sutazai::upstream
