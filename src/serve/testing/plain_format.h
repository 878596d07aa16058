#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "serve/answer_format.h"

/// For tests only.
namespace sutazai::serve::testing_support {

/// "start m; 0: t0; 0 ends; all end; "
class PlainFormat final : public AnswerFormat {
  public:
    explicit PlainFormat(std::string model) : model_(std::move(model)) {}
    void start(std::string& out) override { out += "start " + model_ + "; "; }
    void update(std::string& out, std::size_t index, const GenerationUpdate& update) override {
        if (!update.delta.content.empty()) out += std::to_string(index) + ":" + update.delta.content + "; ";
        if (update.finished) out += std::to_string(index) + " ends; ";
        if (update.error) out += "error in " + update.error->field + "; ";
    }
    void end(std::string& out, std::span<const Usage> usages) override {
        std::size_t tokens = 0;
        for (const Usage& usage : usages) tokens += usage.completion_tokens;
        out += "all end, " + std::to_string(tokens) + " tokens; ";
    }
    std::string answer(std::span<const api::Choice> choices) override {
        std::string out = model_;
        for (const api::Choice& choice : choices) out += "|" + choice.answer.content;
        return out;
    }
    Error explain(Error error, std::size_t index) override {
        error.field += "#" + std::to_string(index);
        return error;
    }

  private:
    std::string model_;
};

}  // namespace sutazai::serve::testing_support
