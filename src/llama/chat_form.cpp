#include "llama/chat_form.h"

#include <chat-auto-parser.h>
#include <chat-peg-parser.h>
#include <chat.h>
#include <fmt/format.h>
#include <json.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <optional>

namespace sutazai::llama {
namespace {

/// The parser goes as deep as the JSON that it reads.
constexpr int kMostDepth = 256;
constexpr std::size_t kMostKept = 64;
constexpr std::size_t kMostKeyBytes = std::size_t{256} << 10;

bool is_deep(std::string_view text) {
    int depth = 0;
    for (const char byte : text) {
        if (byte == '{' || byte == '[') ++depth;
        if ((byte == '}' || byte == ']') && depth > 0) --depth;
        if (depth > kMostDepth) return true;
    }
    return false;
}

std::string trimmed(std::string_view text) {
    constexpr const char* kSpaces = " \n\r\t";
    const std::size_t begin = text.find_first_not_of(kSpaces);
    if (begin == std::string_view::npos) return {};
    return std::string(text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin));
}

common_json tools_json(const std::vector<Tool>& tools) {
    common_json list = common_json::array();
    for (const Tool& tool : tools) {
        common_json function = common_json::object();
        function["name"] = tool.name;
        if (!tool.description.empty()) function["description"] = tool.description;
        function["parameters"] = tool.parameters.empty() ? common_json::object() : common_json::parse(tool.parameters);
        common_json entry = common_json::object();
        entry["type"] = "function";
        entry["function"] = function;
        list.push_back(entry);
    }
    return list;
}

/// What tells forms apart; the messages do not.
std::string key_of(const Chat& chat, std::string_view salt) {
    std::string key;
    const auto add = [&key](std::string_view text) { key += fmt::format("{}:{};", text.size(), text); };
    add(salt);
    for (const Tool& tool : chat.tools) {
        add(tool.name);
        add(tool.description);
        add(tool.parameters);
    }
    key += fmt::format("{},{},{},{},", static_cast<int>(chat.tool_choice), chat.parallel_tool_calls,
                       chat.reasoning.apart, chat.reasoning.wanted.value_or(true));
    add(chat.named_tool);
    add(chat.reasoning.effort);
    add(chat.template_arguments);
    return key;
}

}  // namespace

struct ChatForm::Impl {
    common_chat_format format = COMMON_CHAT_FORMAT_CONTENT_ONLY;
    common_peg_arena parser;
    std::string beginning;
    std::string grammar;
    std::vector<std::string> triggers;
    std::vector<std::string> marks_by_name;
    std::vector<std::string> stops;
    text::AnswerShape::Marks marks;
};

ChatForm::ChatForm(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
    marks_ = impl_->marks;
}
ChatForm::~ChatForm() = default;

const std::string& ChatForm::grammar() const {
    return impl_->grammar;
}
const std::vector<std::string>& ChatForm::triggers() const {
    return impl_->triggers;
}
const std::string& ChatForm::beginning() const {
    return impl_->beginning;
}
const std::vector<std::string>& ChatForm::marks_by_name() const {
    return impl_->marks_by_name;
}
const std::vector<std::string>& ChatForm::stops() const {
    return impl_->stops;
}

/// As common_chat_peg_parse() does it, which does not tell what can come to nothing from what may still come.
text::ParsedAnswer ChatForm::parse(const std::string& text) const {
    text::ParsedAnswer out;
    out.status = text::ParsedAnswer::Status::kBroken;
    if (is_deep(text)) return out;
    try {
        common_peg_parse_context context(impl_->beginning + text, COMMON_PEG_PARSE_FLAG_LENIENT);
        const common_peg_parse_result result = impl_->parser.parse(context);
        common_chat_msg message;
        std::unique_ptr<common_chat_peg_mapper> mapper;
        if (impl_->format == COMMON_CHAT_FORMAT_PEG_GEMMA4) {
            mapper = std::make_unique<common_chat_peg_gemma4_mapper>(message);
        } else if (impl_->format == COMMON_CHAT_FORMAT_PEG_MINIMAX_M3) {
            mapper = std::make_unique<common_chat_peg_minimax_m3_mapper>(message);
        } else {
            mapper = std::make_unique<common_chat_peg_mapper>(message);
        }
        mapper->from_ast(context.ast, result);
        if (!result.fail()) {
            out.status =
                result.need_more_input() ? text::ParsedAnswer::Status::kMore : text::ParsedAnswer::Status::kWhole;
        }
        out.reasoning = std::move(message.reasoning_content);
        out.content = std::move(message.content);
        for (common_chat_tool_call& call : message.tool_calls) {
            out.calls.push_back({std::move(call.id), std::move(call.name), std::move(call.arguments)});
        }
    } catch (const std::exception& thrown) {
        spdlog::debug("an answer could not be parsed: {}", thrown.what());
        return {.status = text::ParsedAnswer::Status::kBroken};
    }
    return out;
}

struct ChatForms::Analysis {
    Analysis(const std::string& source, const std::string& bos, const std::string& eos)
        : chat_template(source, bos, eos) {
        finder.analyze_template(chat_template);
    }

    [[nodiscard]] common_chat_params params_of(const Chat& chat) const {
        autoparser::generation_params inputs;
        inputs.messages = common_json::array();
        common_json message = common_json::object();
        message["role"] = "user";
        message["content"] = "Hi";
        inputs.messages.push_back(message);
        const jinja::caps& caps = chat_template.caps;
        if (!chat.tools.empty()) inputs.tools = tools_json(chat.tools);
        inputs.tool_choice = chat.tool_choice == ToolChoice::kNone       ? COMMON_CHAT_TOOL_CHOICE_NONE
                             : chat.tool_choice == ToolChoice::kRequired ? COMMON_CHAT_TOOL_CHOICE_REQUIRED
                                                                         : COMMON_CHAT_TOOL_CHOICE_AUTO;
        inputs.parallel_tool_calls = chat.parallel_tool_calls && caps.supports_parallel_tool_calls;
        inputs.reasoning_format = chat.reasoning.apart ? COMMON_REASONING_FORMAT_AUTO : COMMON_REASONING_FORMAT_NONE;
        inputs.enable_thinking = chat.reasoning.wanted.value_or(true);
        inputs.add_generation_prompt = true;
        inputs.extra_context = common_json::object();
        if (!chat.reasoning.effort.empty()) inputs.extra_context["reasoning_effort"] = chat.reasoning.effort;
        if (!chat.template_arguments.empty()) {
            const common_json more = common_json::parse(chat.template_arguments);
            for (const auto& [name, value] : more.items()) inputs.extra_context[name] = value;
        }
        if (auto special = common_chat_try_specialized_template(chat_template, chat_template.source(), inputs)) {
            return *special;
        }
        common_chat_params params = autoparser::peg_generator::generate_parser(chat_template, inputs, finder);
        params.supports_thinking = finder.reasoning.mode != autoparser::reasoning_mode::NONE;
        if (params.supports_thinking) {
            params.thinking_start_tag = trimmed(finder.reasoning.start);
            if (std::string end = trimmed(finder.reasoning.end); !end.empty()) params.thinking_end_tags = {end};
        }
        return params;
    }

    common_chat_template chat_template;
    autoparser::autoparser finder;
};

ChatForms::ChatForms(const std::string& source, const std::string& bos, const std::string& eos) {
    try {
        analysis_ = std::make_unique<Analysis>(source, bos, eos);
        const common_chat_params plain = analysis_->params_of({});
        thinks_ = plain.supports_thinking && !plain.thinking_end_tags.empty();
        if (analysis_->chat_template.caps.supports_tools) {
            Chat chat{.tools = {{.name = "f", .parameters = R"({"type":"object","properties":{}})"}},
                      .tool_choice = ToolChoice::kRequired};
            const common_chat_params with = analysis_->params_of(chat);
            knows_tools_ = !with.grammar.empty();
            marks_by_name_ = with.preserved_tokens;
        }
        for (const std::string& name : plain.preserved_tokens) {
            if (std::ranges::find(marks_by_name_, name) == marks_by_name_.end()) marks_by_name_.push_back(name);
        }
    } catch (const std::exception& thrown) {
        spdlog::debug("what a chat template says of tools is not known: {}", thrown.what());
        analysis_.reset();
        knows_tools_ = thinks_ = false;
    }
}

ChatForms::~ChatForms() = default;

std::size_t ChatForms::n_made() const {
    const std::lock_guard lock(mutex_);
    return n_made_;
}

ChatForms::Made ChatForms::of(const Chat& chat, std::string_view salt) {
    if (!chat.tools.empty() && !knows_tools_) {
        return fail(ErrorCode::kInvalidArgument, "tools are unknown to this model's chat template", "tools");
    }
    if (analysis_ == nullptr || (chat.tools.empty() && !thinks_)) return nullptr;
    if (chat.turn != Turn::kNew) {
        if (chat.tools.empty()) return nullptr;
        return fail(ErrorCode::kInvalidArgument,
                    "tools go with a new message of the assistant, not with one that is continued", "tools");
    }
    const std::lock_guard lock(mutex_);
    std::string key = key_of(chat, salt);
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
        kept_.splice(kept_.begin(), kept_, found->second);
        return found->second->second;
    }
    ++n_made_;
    Made made = make(chat);
    if (!made || key.size() > kMostKeyBytes) return made;
    kept_.emplace_front(std::move(key), *made);
    by_key_.emplace(kept_.front().first, kept_.begin());
    if (kept_.size() > kMostKept) {
        by_key_.erase(kept_.back().first);
        kept_.pop_back();
    }
    return made;
}

ChatForms::Made ChatForms::make(const Chat& chat) const {
    try {
        Chat narrowed;
        const Chat* asked = &chat;
        if (!chat.named_tool.empty()) {
            narrowed = chat;
            std::erase_if(narrowed.tools, [&](const Tool& tool) { return tool.name != chat.named_tool; });
            asked = &narrowed;
        }
        common_chat_params params = analysis_->params_of(*asked);
        auto impl = std::make_unique<ChatForm::Impl>();
        impl->format = params.format;
        impl->parser.load(params.parser);
        impl->beginning = std::move(params.generation_prompt);
        impl->grammar = std::move(params.grammar);
        impl->stops = std::move(params.additional_stops);
        impl->marks_by_name = params.preserved_tokens;
        text::AnswerShape::Marks& marks = impl->marks;
        const auto add_mark = [&](const std::string& text) {
            std::string mark = trimmed(text);
            if (!mark.empty() && std::ranges::find(marks.any, mark) == marks.any.end()) {
                marks.any.push_back(std::move(mark));
            }
        };
        bool by_pattern = false;
        for (const common_grammar_trigger& trigger : params.grammar_triggers) {
            const bool is_word = trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD;
            by_pattern = by_pattern || !is_word;
            if (is_word) add_mark(trigger.value);
            if (is_word && params.grammar_lazy) impl->triggers.push_back(trigger.value);
        }
        // Patterns are llama.cpp's regular expressions; such calls are parsed, and not held to the grammar.
        if (params.grammar_lazy && impl->triggers.empty()) impl->grammar.clear();
        for (const std::string& name : params.preserved_tokens) add_mark(name);
        if (params.supports_thinking) {
            add_mark(params.thinking_start_tag);
            for (const std::string& end : params.thinking_end_tags) add_mark(end);
            marks.header = trimmed(impl->beginning);
            marks.thoughts_begin = trimmed(params.thinking_start_tag);
            marks.thoughts_end = params.thinking_end_tags;
            marks.begins_thinking =
                !marks.thoughts_begin.empty() && trimmed(impl->beginning).ends_with(marks.thoughts_begin);
        }
        // Calls that nothing announces are an object, or a list of them.
        const bool calls = !asked->tools.empty() && asked->tool_choice != ToolChoice::kNone;
        if (calls && (impl->triggers.empty() || by_pattern) && params.preserved_tokens.empty()) {
            for (const char* opens : {"{", "[", "<", ">"}) add_mark(opens);
        }
        return std::make_shared<const ChatForm>(std::move(impl));
    } catch (const std::exception& thrown) {
        const char* field = chat.tools.empty() ? "chat_template_kwargs" : "tools";
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{}: the model's chat template does not take them: {}", field, thrown.what()), field);
    }
}

}  // namespace sutazai::llama
