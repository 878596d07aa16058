#include "cli/chat_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/small_file.h"
#include "catalog/ollama_name.h"
#include "catalog/ollama_parameters.h"

namespace sutazai::cli {
namespace {

constexpr std::string_view kQuote = "\"\"\"";

/// Takes the first word, and the blanks behind it, off.
std::string_view take_word(std::string_view& rest) {
    const auto skip = [&] { rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size())); };
    skip();
    const std::string_view word = rest.substr(0, std::min(rest.find_first_of(" \t"), rest.size()));
    rest.remove_prefix(word.size());
    skip();
    return word;
}

/// Without quotes around it.
std::string unquoted(std::string_view text) {
    for (const std::string_view quote : {kQuote, std::string_view("\"")}) {
        if (text.size() >= 2 * quote.size() && text.starts_with(quote) && text.ends_with(quote)) {
            return std::string(text.substr(quote.size(), text.size() - 2 * quote.size()));
        }
    }
    return std::string(text);
}

std::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what) + " (/? shows what there is)");
}

Result<ChatCommand> parse_set(std::string_view rest) {
    const std::string_view what = take_word(rest);
    if (what == "system") {
        if (rest.empty()) return refuse("/set system needs a text");
        return ChatCommand{ChatCommand::Kind::kSetSystem, "", unquoted(rest)};
    }
    if (what != "parameter") return refuse(fmt::format("\"/set {}\" is not known", what));
    const std::string_view name = take_word(rest);
    if (name.empty() || rest.empty()) return refuse("/set parameter needs a name and a value");
    return ChatCommand{ChatCommand::Kind::kSetParameter, std::string(name), unquoted(rest)};
}

Result<ChatCommand> parse_show(std::string_view rest) {
    const std::string_view what = take_word(rest);
    for (const char* known : {"info", "parameters", "system", "template", "modelfile", "license"}) {
        if (what == known && rest.empty()) return ChatCommand{ChatCommand::Kind::kShow, known, ""};
    }
    return refuse("/show is followed by info, parameters, system, template, modelfile or license");
}

}  // namespace

std::optional<std::string> PromptReader::add(std::string_view line) {
    if (!open_) {
        // Also behind a command: /set system """...
        const auto begin = line.find(kQuote);
        const bool is_command = line.starts_with('/');
        if (begin == std::string_view::npos || (begin > 0 && !is_command)) return std::string(line);
        if (line.size() >= begin + 2 * kQuote.size() && line.ends_with(kQuote)) {
            if (is_command) return std::string(line);
            return std::string(line.substr(kQuote.size(), line.size() - 2 * kQuote.size()));
        }
        open_ = is_command ? std::string(line) : std::string(line.substr(kQuote.size()));
        return std::nullopt;
    }
    *open_ += '\n';
    *open_ += line;
    const auto end = line.find_last_not_of(" \t\r");
    if (end == std::string_view::npos || !line.substr(0, end + 1).ends_with(kQuote)) return std::nullopt;
    std::string text = std::move(*open_);
    open_.reset();
    text.resize(text.rfind(kQuote) + kQuote.size());
    if (!text.starts_with('/')) text.resize(text.size() - kQuote.size());
    return text;
}

Result<ChatCommand> parse_chat_command(std::string_view typed) {
    if (!typed.starts_with('/')) return ChatCommand();
    std::string_view rest = typed;
    const std::string_view word = take_word(rest);
    if (word == "/bye" || word == "/exit") return ChatCommand{ChatCommand::Kind::kBye};
    if (word == "/clear") return ChatCommand{ChatCommand::Kind::kClear};
    if (word == "/?" || word == "/help") return ChatCommand{ChatCommand::Kind::kHelp};
    if (word == "/set") return parse_set(rest);
    if (word == "/show") return parse_show(rest);
    // A path is a prompt.
    if (word.substr(1).find('/') != std::string_view::npos) return ChatCommand();
    return refuse(fmt::format("\"{}\" is not known", word));
}

std::string chat_help() {
    return "/set system TEXT             the system message from here on\n"
           "/set parameter NAME VALUE    temperature, top_k, top_p, min_p, repeat_penalty, presence_penalty,\n"
           "                             frequency_penalty, seed, num_predict, stop\n"
           "/show info                   what the model is; also parameters, system, template, modelfile, license\n"
           "/clear                       forget the conversation\n"
           "/bye                         leave; so does ctrl-D\n"
           "\"\"\"                          begins and ends a text of several lines\n"
           "ctrl-C                       stop an answer\n";
}

Result<void> set_parameter(GenerationRequest& request, std::string_view name, std::string_view value) {
    const auto parsed = catalog::parse_ollama_parameter(name, value);
    if (!parsed) return std::unexpected(parsed.error());
    SamplingParams& sampling = request.sampling;
    GivenFields& given = request.given;
    const auto number = [&] { return parsed->to_number<float>(); };
    constexpr std::array<std::pair<const char*, std::pair<float SamplingParams::*, bool GivenFields::*>>, 6> kFloats{{
        {"temperature", {&SamplingParams::temperature, &GivenFields::temperature}},
        {"top_p", {&SamplingParams::top_p, &GivenFields::top_p}},
        {"min_p", {&SamplingParams::min_p, &GivenFields::min_p}},
        {"repeat_penalty", {&SamplingParams::repeat_penalty, &GivenFields::repeat_penalty}},
        {"presence_penalty", {&SamplingParams::presence_penalty, &GivenFields::presence_penalty}},
        {"frequency_penalty", {&SamplingParams::frequency_penalty, &GivenFields::frequency_penalty}},
    }};
    for (const auto& [known, members] : kFloats) {
        if (name != known) continue;
        sampling.*members.first = number();
        given.*members.second = true;
        return {};
    }
    if (name == "top_k") {
        sampling.top_k = parsed->to_number<int>();
        given.top_k = true;
    } else if (name == "seed") {
        sampling.seed.reset();
        if (parsed->get_int64() >= 0) sampling.seed = static_cast<std::uint64_t>(parsed->get_int64());
        given.seed = true;
    } else if (name == "num_predict") {
        request.max_tokens = std::max(parsed->to_number<int>(), -1);
        given.max_tokens = true;
    } else if (name == "stop") {
        request.stop.emplace_back(std::string_view(parsed->get_array().front().get_string()));
        given.stop = true;
    } else {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} says how a model is loaded, which it is already; `sutazai run --help` has the "
                                "settings for that",
                                name));
    }
    return {};
}

void set_system(Chat& chat, std::string text) {
    ChatMessage message = text_message(Role::kSystem, std::move(text));
    if (!chat.messages.empty() && chat.messages.front().role == Role::kSystem) {
        chat.messages.front() = std::move(message);
    } else {
        chat.messages.insert(chat.messages.begin(), std::move(message));
    }
}

std::vector<std::string> images_named_in(std::string_view prompt) {
    std::vector<std::string> names;
    while (!prompt.empty()) {
        const std::string_view word =
            prompt.substr(0, std::min(prompt.find_first_of(" \t\r\n'\"`?,;!"), prompt.size()));
        const std::string small = catalog::in_small_letters(word);
        const bool is_path = word.find('/') != std::string_view::npos;
        for (const char* extension : {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"}) {
            if (is_path && small.ends_with(extension)) names.emplace_back(word);
        }
        prompt.remove_prefix(std::min(word.size() + 1, prompt.size()));
    }
    return names;
}

Result<ChatMessage> message_with_images(std::string prompt) {
    ChatMessage message{.role = Role::kUser};
    for (const std::string& name : images_named_in(prompt)) {
        if (::access(name.c_str(), F_OK) != 0) continue;  // talk of a file
        const auto refuse = [&](const std::string& why) {
            return fail(ErrorCode::kInvalidArgument, fmt::format("{} {}", name, why));
        };
        auto bytes = read_small_file(name, kMostImageBytes);
        if (!bytes) return refuse(bytes.error().message);
        auto image = make_image(std::move(*bytes));
        if (!image) return refuse(image.error().message);
        message.content.push_back({.image = std::move(*image)});
    }
    message.content.push_back({std::move(prompt)});
    return message;
}

}  // namespace sutazai::cli
