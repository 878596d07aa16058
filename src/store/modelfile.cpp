#include "store/modelfile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

#include "base/json_text.h"
#include "base/model_parts.h"
#include "catalog/ollama_name.h"
#include "catalog/ollama_parameters.h"
#include "store/quantisations.h"

namespace sutazai::store {
namespace {

constexpr std::string_view kTripleQuote = "\"\"\"";
constexpr std::size_t kMostMessages = 4096;
constexpr std::size_t kMostAdapters = 16;

struct Refusal {
    std::string what;
    std::string field = {};
};

/// Reads a Modelfile instruction by instruction.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {
        if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
    }

    [[nodiscard]] int line() const { return instruction_line_; }

    /// The next instruction's word in small letters; nothing at the end.
    std::optional<std::string> next_word() {
        for (;;) {
            skip_while([](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
            if (rest_.empty()) return std::nullopt;
            if (rest_.front() != '#') break;
            skip_while([](char c) { return c != '\n'; });
        }
        instruction_line_ = line_;
        return catalog::in_small_letters(word());
    }

    /// Up to the next blank or the line's end.
    std::string_view word() {
        const std::size_t n = std::min(rest_.find_first_of(" \t\r\n"), rest_.size());
        const std::string_view out = rest_.substr(0, n);
        rest_.remove_prefix(n);
        skip_while([](char c) { return c == ' ' || c == '\t'; });
        return out;
    }

    /// The rest of the line, or what stands in quotes, which must be all of it.
    std::expected<std::string, Refusal> value() {
        if (auto fenced = between_fences()) return std::move(*fenced);
        if (rest_.starts_with(kTripleQuote)) return in_quotes(kTripleQuote);
        if (rest_.starts_with('"')) return in_quotes("\"");
        std::string_view out = rest_.substr(0, std::min(rest_.find_first_of("\r\n"), rest_.size()));
        rest_.remove_prefix(out.size());
        while (out.ends_with(' ') || out.ends_with('\t')) out.remove_suffix(1);
        return std::string(out);
    }

    [[nodiscard]] bool is_at_end() const { return rest_.empty(); }

  private:
    /// Between this line, the rest of which is four or more quotes, and the next one that is the same quotes. Nothing
    /// when it is not so: then it is text that begins with a quote.
    std::optional<std::string> between_fences() {
        const std::string_view fence = rest_.substr(0, std::min(rest_.find_first_not_of('"'), rest_.size()));
        if (fence.size() <= kTripleQuote.size()) return std::nullopt;
        const auto is_line_end = [&](std::size_t at) {
            const std::size_t next = rest_.find_first_not_of(" \t\r", at);
            return next == std::string_view::npos || rest_[next] == '\n';
        };
        if (!is_line_end(fence.size())) return std::nullopt;
        const std::size_t begin = rest_.find('\n');
        for (std::size_t line = begin; line != std::string_view::npos; line = rest_.find('\n', line + 1)) {
            if (!rest_.substr(line + 1).starts_with(fence) || !is_line_end(line + 1 + fence.size())) continue;
            std::string out(line == begin ? "" : rest_.substr(begin + 1, line - begin - 1));
            const std::size_t end = line + 1 + fence.size();
            line_ += static_cast<int>(std::ranges::count(rest_.substr(0, end), '\n'));
            rest_.remove_prefix(end);
            return out;
        }
        return std::nullopt;
    }

    template <typename Is>
    void skip_while(Is is) {
        while (!rest_.empty() && is(rest_.front())) {
            line_ += rest_.front() == '\n';
            rest_.remove_prefix(1);
        }
    }

    /// A quote within the text is one that the line does not end behind.
    std::expected<std::string, Refusal> in_quotes(std::string_view quote) {
        rest_.remove_prefix(quote.size());
        for (std::size_t from = 0;;) {
            const std::size_t end = rest_.find(quote, from);
            if (end == std::string_view::npos) {
                return std::unexpected(Refusal{fmt::format("the closing {} is missing", quote)});
            }
            const std::string_view behind = rest_.substr(end + quote.size());
            const std::size_t next = behind.find_first_not_of(" \t\r");
            if (next != std::string_view::npos && behind[next] != '\n') {
                from = end + 1;
                continue;
            }
            std::string out(rest_.substr(0, end));
            line_ += static_cast<int>(std::ranges::count(out, '\n'));
            rest_ = behind;
            return out;
        }
    }

    std::string_view rest_;
    int line_ = 1;
    int instruction_line_ = 1;
};

std::expected<void, Refusal> take(ModelRecipe& recipe, const std::string& word, Reader& reader) {
    const auto refuse = [](std::string what) { return std::unexpected(Refusal{std::move(what)}); };
    for (const auto& [name, what] :
         {std::pair("draft", "DRAFT is not built yet"),
          std::pair("renderer", "RENDERER is Ollama's own code; the model's chat template is used here"),
          std::pair("parser", "PARSER is Ollama's own code, which is not built in here")}) {
        if (word == name) return refuse(what);
    }
    if (word == "parameter") {
        const std::string name = catalog::in_small_letters(reader.word());
        if (name.empty()) return refuse("PARAMETER needs a name and a value");
        auto value = reader.value();
        if (!value) return std::unexpected(std::move(value.error()));
        auto added = catalog::add_ollama_parameter(recipe.parameters, name, *value);
        if (!added) return std::unexpected(Refusal{std::move(added.error().message), std::move(added.error().field)});
        return {};
    }
    if (word == "message") {
        std::string role = catalog::in_small_letters(reader.word());
        if (role != "system" && role != "user" && role != "assistant") {
            return refuse("MESSAGE needs a role: system, user or assistant");
        }
        auto value = reader.value();
        if (!value) return std::unexpected(std::move(value.error()));
        if (recipe.messages.size() == kMostMessages) return refuse("there are too many messages");
        recipe.messages.emplace_back(std::move(role), std::move(*value));
        return {};
    }
    constexpr auto kKnown =
        std::to_array<std::string_view>({"from", "adapter", "template", "system", "license", "requires"});
    if (std::ranges::find(kKnown, word) == kKnown.end()) {
        return refuse(
            fmt::format("\"{}\" is no instruction; they are FROM, PARAMETER, TEMPLATE, SYSTEM, LICENSE, "
                        "MESSAGE, ADAPTER, DRAFT, RENDERER, PARSER and REQUIRES",
                        word.substr(0, 40)));
    }
    auto value = reader.value();
    if (!value) return std::unexpected(std::move(value.error()));
    if (word == "from") {
        if (value->empty()) return refuse("FROM needs a model or the path of a GGUF file");
        if (!recipe.from.empty()) return refuse("there is a second FROM; a model is made of one file here");
        recipe.from = std::move(*value);
    } else if (word == "adapter") {
        if (value->empty()) return refuse("ADAPTER needs the path of a LoRA file in GGUF");
        if (recipe.adapter_files.size() == kMostAdapters) return refuse("there are too many adapters");
        recipe.adapter_files.push_back(std::move(*value));
    } else if (word == "template") {
        recipe.chat_template = std::move(*value);
    } else if (word == "system") {
        recipe.system = std::move(*value);
    } else if (word == "license") {
        recipe.licenses.push_back(std::move(*value));
    }  // REQUIRES names a version of Ollama
    return {};
}

/// The value that is read as this text.
std::string quoted(std::string_view text, std::string_view preferred = kTripleQuote) {
    for (const std::string_view quote : {preferred, kTripleQuote}) {
        std::string value = fmt::format("{0}{1}{0}", quote, text);
        // It would be the first line of two, if there is another one like it further down.
        const std::size_t next = value.find_first_not_of('"');
        const std::size_t end = value.find_first_not_of(" \t\r", std::min(next, value.size()));
        if (end == std::string::npos || (next > kTripleQuote.size() && value[end] == '\n')) continue;
        Reader reader(value);
        const auto read = reader.value();
        if (read && *read == text && reader.is_at_end()) return value;
    }
    std::size_t longest = kTripleQuote.size();
    for (std::size_t at = text.find('"'); at != std::string_view::npos; at = text.find('"', at)) {
        const std::size_t end = std::min(text.find_first_not_of('"', at), text.size());
        longest = std::max(longest, end - at);
        at = end;
    }
    return fmt::format("{0}\n{1}\n{0}", std::string(longest + 1, '"'), text);
}

void add_parameter(std::string& out, std::string_view name, const boost::json::value& value) {
    if (value.is_array()) {
        for (const boost::json::value& one : value.get_array()) add_parameter(out, name, one);
        return;
    }
    std::string text;
    if (value.is_string()) {
        text = quoted(std::string_view(value.get_string()), "\"");
    } else if (value.is_double()) {
        text = fmt::to_string(value.get_double());
    } else {
        text = to_json(value);
    }
    out += fmt::format("PARAMETER {} {}\n", name, text);
}

}  // namespace

std::string to_modelfile(const ModelRecipe& recipe) {
    std::string out = fmt::format("FROM {}\n", recipe.from);
    for (const std::string& path : recipe.adapter_files) out += fmt::format("ADAPTER {}\n", path);
    if (!recipe.chat_template.empty()) out += fmt::format("TEMPLATE {}\n", quoted(recipe.chat_template));
    if (!recipe.system.empty()) out += fmt::format("SYSTEM {}\n", quoted(recipe.system));
    for (const auto& [name, value] : recipe.parameters) add_parameter(out, name, value);
    for (const std::string& license : recipe.licenses) out += fmt::format("LICENSE {}\n", quoted(license));
    for (const auto& [role, content] : recipe.messages) out += fmt::format("MESSAGE {} {}\n", role, quoted(content));
    return out;
}

Result<ModelRecipe> parse_modelfile(std::string_view text) {
    Reader reader(text);
    ModelRecipe recipe;
    if (text.find('\0') != std::string_view::npos) {
        return fail(ErrorCode::kInvalidArgument, "the Modelfile is no text", "modelfile");
    }
    while (const auto word = reader.next_word()) {
        auto taken = take(recipe, *word, reader);
        if (taken) continue;
        std::string& field = taken.error().field;
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("line {} of the Modelfile: {}", reader.line(), taken.error().what),
                    field.empty() ? "modelfile" : std::move(field));
    }
    if (recipe.from.empty()) {
        return fail(ErrorCode::kInvalidArgument, "the Modelfile has no FROM, which says what the model is made of",
                    "modelfile");
    }
    return recipe;
}

bool is_file_path(std::string_view from) {
    if (from.starts_with('/') || from.starts_with("./") || from.starts_with("../") || from.starts_with('~'))
        return true;
    if (from == "." || from == "..") return true;
    const auto dot = from.rfind('.');
    return dot != std::string_view::npos && is_gguf_extension(from.substr(dot));
}

}  // namespace sutazai::store
