#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "api/choice.h"
#include "base/error.h"
#include "base/generation.h"

namespace sutazai::serve {

/// How one API family tells of the generations of one answer. Appends to the string it is given. One call at a time, on
/// any thread.
class AnswerFormat {
  public:
    virtual ~AnswerFormat() = default;
    virtual void start(std::string& out) = 0;
    /// Text, end or error of one generation: all that the update holds. Nothing for an update that holds nothing. An
    /// error is the last event of the whole stream.
    virtual void update(std::string& out, std::size_t index, const GenerationUpdate& update) = 0;
    /// All generations have ended well.
    virtual void end(std::string& /*out*/, std::span<const Usage> /*usages*/) {}
    /// The whole answer, for requests that do not stream.
    [[nodiscard]] virtual std::string answer(std::span<const api::Choice> choices) = 0;
    /// The error of one generation in the words of the request, for example with its number in `field`.
    [[nodiscard]] virtual Error explain(Error error, std::size_t /*index*/) { return error; }
};

/// Called once the model's name in the catalogue is known.
using FormatMaker = std::move_only_function<std::unique_ptr<AnswerFormat>(std::string model)>;

}  // namespace sutazai::serve
