#include <utility>
#include <vector>

#include "api/openai.h"
#include "serve/formats.h"

namespace sutazai::serve {

namespace {

namespace llama_server = api::llama_server;

class NativeFormat final : public AnswerFormat {
  public:
    NativeFormat(llama_server::Completion request, std::string model, std::size_t n)
        : request_(std::move(request)), model_(std::move(model)), n_tokens_(n, 0) {}

    void start(std::string& /*out*/) override {}

    void update(std::string& out, std::size_t index, const GenerationUpdate& update) override {
        n_tokens_.at(index) += update.n_tokens;
        const std::string& text = update.delta.content;
        if (!text.empty() && !request_.only_prompt) llama_server::append_chunk(out, index, text, n_tokens_.at(index));
        if (update.error) api::openai::append_error_event(out, *update.error);
        if (update.finished) llama_server::append_end(out, request_, model_, index, *update.finished);
    }

    std::string answer(std::span<const api::Choice> choices) override {
        return llama_server::encode_completion(request_, model_, choices);
    }

    Error explain(Error error, std::size_t /*index*/) override {
        if (error.field == "suffix") error.field = "input_suffix";
        return error;
    }

  private:
    llama_server::Completion request_;
    std::string model_;
    std::vector<std::uint32_t> n_tokens_;  ///< of each generation so far
};

}  // namespace

AnswerRequest llama_completion(llama_server::Completion request) {
    AnswerRequest answer{
        std::move(request.model), request.stream, std::move(request.generations), request.keep_alive, {}};
    answer.make_format = [n = answer.generations.size(), parsed = std::move(request)](std::string model) mutable {
        return std::make_unique<NativeFormat>(std::move(parsed), std::move(model), n);
    };
    return answer;
}

}  // namespace sutazai::serve
