#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/go_value.h"

/// Templates of Go's package text/template, as Ollama's models have them.
namespace sutazai::text {

/// Told of each piece of what a template writes, and whose it is (GoValue::origin).
using GoSink = std::function<void(std::string_view text, int origin)>;
/// Asked often: true ends the work.
using GoCancel = std::function<bool()>;

/// Understands actions with pipelines, variables, if, with, range (over lists, maps and numbers), else, break,
/// continue, define, template and block, comments, trimming, and the functions of find_go_function(), and, or and not.
/// Not: call, html, js, urlquery, complex numbers, methods. Constant after construction; any thread.
class GoTemplate {
  public:
    /// At most 1 MiB with blocks nested at most 100 deep. kInvalidArgument with the line and what is wrong there.
    [[nodiscard]] static Result<GoTemplate> parse(std::string_view source);

    /// `dot` is what "." means at the top. kInvalidArgument with the line when something in it does not go;
    /// kInvalidArgument too when it takes more than a million steps or writes more than 64 MiB; kCancelled.
    [[nodiscard]] Result<void> execute(const GoValue& dot, const GoSink& sink, const GoCancel& cancelled = {}) const;

    /// Is a field of that name spoken of anywhere?
    [[nodiscard]] bool uses(std::string_view field) const;
    /// The same up to and with the first action that writes a field of that name, and nothing after it.
    [[nodiscard]] GoTemplate cut_behind(std::string_view field) const;
    /// The same with one more action behind it: {{ .field }}.
    [[nodiscard]] GoTemplate with_field(std::string_view field) const;

    struct Tree;

  private:
    explicit GoTemplate(std::shared_ptr<const Tree> tree) : tree_(std::move(tree)) {}
    std::shared_ptr<const Tree> tree_;
};

}  // namespace sutazai::text
