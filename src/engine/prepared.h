#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/generation.h"
#include "engine/artifact_keeper.h"
#include "engine/queue_timeout.h"
#include "llama/adapters.h"
#include "llama/chat_form.h"
#include "llama/grammar.h"
#include "llama/language_model.h"

namespace sutazai::engine {

using Model = llama::LanguageModel;
using sched::Token;

/// A request on its way to the scheduler. It is for `request.n` answers, which are the requests `id` to `id` + n - 1 to
/// everybody else.
struct Prepared {
    RequestId id = 0;
    GenerationRequest request;
    std::chrono::steady_clock::time_point submitted;
    std::vector<Token> prompt = {};
    llama::PromptImages images = {};                             ///< in the prompt
    std::vector<ArtifactKeeper::Find> on_disk = {};              ///< blocks of the prompt, as of its preparation
    int fetched_tokens = 0;                                      ///< that came from there for it
    std::shared_ptr<const llama::CompiledGrammar> grammar = {};  ///< null: the text may be anything
    std::shared_ptr<const llama::AdapterSet> adapters = {};      ///< null: the model as it is
    std::string echo = {};                                       ///< the prompt's text, if the request wants it back
    std::shared_ptr<const llama::ChatForm> form = {};            ///< null: the answer is plain text
    int most_thoughts = -1;                                      ///< tokens; -1: as many as the model wants
    std::vector<Token> thoughts_end = {};                        ///< what ends them; only where there is such a limit
    std::set<RequestId> cancelled = {};                          ///< of its answers
    std::vector<GenerationUpdate> reading = {};                  ///< of Task::kRead all that it is answered
    const char* input_field = "prompt";                          ///< where the request holds what the model reads

    [[nodiscard]] std::vector<RequestId> wanted() const;  ///< the answers that are not cancelled
    [[nodiscard]] std::uint64_t salt() const { return std::hash<std::string>{}(request.cache_salt); }
};

/// The text that the tokens stand for, names of control tokens included.
[[nodiscard]] std::string text_of(const Model& model, std::span<const Token> tokens);

/// The tokens up to the first that stands for an image. Only these have artifacts: tokens of images mean something in
/// one engine alone.
[[nodiscard]] std::span<const Token> before_images(std::span<const Token> tokens);

/// Fills in what the decode thread needs of a request, but for its grammar: template, tokens, what the disk holds.
/// `keeper` may be null. kCancelled once `cancelled` says so. Any thread but the decode thread.
[[nodiscard]] Result<void> prepare(Prepared& prepared, const Model& model, ArtifactKeeper* keeper,
                                   const llama::CancelCheck& cancelled);

/// In a map of requests by the id of their first answer, the one that `answer` belongs to; end() when there is none.
template <typename Requests, typename NumberOfAnswers>
auto request_of(Requests& requests, RequestId answer, NumberOfAnswers n_answers) {
    const auto next = requests.upper_bound(answer);
    if (next == requests.begin()) return requests.end();
    const auto found = std::prev(next);
    return answer - found->first < static_cast<RequestId>(n_answers(found->second)) ? found : requests.end();
}

/// Requests that wait for something before they can be scheduled. One thread.
class HeldRequests {
  public:
    void add(Prepared prepared);
    /// The request whose first answer has this id, which waits no longer. None when it was cancelled.
    [[nodiscard]] std::optional<Prepared> take(RequestId id);
    /// Takes out those that have waited for too long.
    [[nodiscard]] std::vector<Prepared> take_late(const QueueTimeout& timeout);
    /// Unknown answers are ignored. When it was the last of its request, that is taken out and its id returned.
    std::optional<RequestId> cancel(RequestId answer);

    [[nodiscard]] bool empty() const { return requests_.empty(); }
    [[nodiscard]] int answers() const;  ///< that are wanted

  private:
    std::map<RequestId, Prepared> requests_;
};

}  // namespace sutazai::engine
