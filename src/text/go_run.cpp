#include <fmt/format.h>

#include <optional>
#include <utility>

#include "text/go_lexer.h"
#include "text/go_nodes.h"

namespace sutazai::text {
namespace go {
namespace {

constexpr int kMostSteps = 1'000'000;
constexpr std::size_t kMostBytes = std::size_t{64} << 20;
/// Texts that are looked at, each time with all its bytes: about a fifth of a second.
constexpr std::size_t kMostBytesRead = std::size_t{1} << 30;
constexpr int kDeepestCall = 50;
constexpr int kStepsBetweenLooks = 1024;

enum class Flow { kOn, kBreak, kContinue };

class Run {
  public:
    Run(const GoTemplate::Tree& tree, const GoValue& top, const GoSink& sink, const GoCancel& cancelled)
        : tree_(tree), sink_(sink), cancelled_(cancelled) {
        variables_.push_back({"", top});
    }

    Result<Flow> list(const std::vector<Node>& nodes, const GoValue& dot) {
        for (const Node& node : nodes) {
            if (auto stepped = step(node.line); !stepped) return std::unexpected(std::move(stepped.error()));
            auto flow = one(node, dot);
            if (!flow) return flow;
            if (*flow != Flow::kOn) return flow;
        }
        return Flow::kOn;
    }

  private:
    struct Variable {
        std::string name;
        GoValue value;
    };
    /// Variables of a block end with it.
    class Scope {
      public:
        explicit Scope(std::vector<Variable>& variables) : variables_(variables), size_(variables.size()) {}
        ~Scope() { variables_.resize(size_); }
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

      private:
        std::vector<Variable>& variables_;
        std::size_t size_;
    };

    Result<void> step(std::size_t line) {
        if (++n_steps_ > kMostSteps) {
            return wrong_at(line, fmt::format("the template takes more than {} steps", kMostSteps));
        }
        if (n_steps_ % kStepsBetweenLooks == 0 && cancelled_ && cancelled_()) {
            return fail(ErrorCode::kCancelled, "the request was cancelled");
        }
        return {};
    }

    Result<void> write(std::string_view text, int origin, std::size_t line) {
        n_bytes_ += text.size();
        if (n_bytes_ > kMostBytes) {
            return wrong_at(line, fmt::format("the template writes more than {} bytes", kMostBytes));
        }
        if (!text.empty()) sink_(text, origin);
        return {};
    }

    Result<Flow> one(const Node& node, const GoValue& dot) {
        using Kind = Node::Kind;
        line_ = node.line;
        switch (node.kind) {
            case Kind::kText: return flow_after(write(node.text, GoValue::kOfTemplate, node.line));
            case Kind::kBreak: return Flow::kBreak;
            case Kind::kContinue: return Flow::kContinue;
            case Kind::kTemplate: return call(node, dot);
            case Kind::kRange: return range(node, dot);
            case Kind::kAction: {
                auto value = evaluate(node.pipeline, dot);
                if (!value) return std::unexpected(std::move(value.error()));
                if (!node.pipeline.variables.empty()) return Flow::kOn;
                return flow_after(write(value->shown(), value->origin, node.line));
            }
            case Kind::kIf:
            case Kind::kWith: {
                const Scope scope(variables_);
                auto value = evaluate(node.pipeline, dot);
                if (!value) return std::unexpected(std::move(value.error()));
                if (!value->is_true()) return list(node.other, dot);
                return list(node.body, node.kind == Kind::kWith ? *value : dot);
            }
        }
        return Flow::kOn;
    }

    static Result<Flow> flow_after(Result<void> done) {
        if (!done) return std::unexpected(std::move(done.error()));
        return Flow::kOn;
    }

    Result<Flow> call(const Node& node, const GoValue& dot) {
        const auto found = tree_.defined.find(node.text);
        if (found == tree_.defined.end())
            return wrong_at(node.line, fmt::format("there is no template \"{}\"", node.text));
        if (depth_ >= kDeepestCall) {
            return wrong_at(node.line, fmt::format("templates call each other more than {} deep", kDeepestCall));
        }
        GoValue its;
        if (!node.pipeline.commands.empty()) {
            auto value = evaluate(node.pipeline, dot);
            if (!value) return std::unexpected(std::move(value.error()));
            its = std::move(*value);
        }
        std::vector<Variable> before = std::exchange(variables_, {{"", its}});
        ++depth_;
        auto flow = list(found->second, its);
        --depth_;
        variables_ = std::move(before);
        return flow;
    }

    Result<Flow> range(const Node& node, const GoValue& dot) {
        const Scope scope(variables_);
        const std::vector<std::string>& names = node.pipeline.variables;
        auto value = value_of(node.pipeline, dot);
        if (!value) return std::unexpected(std::move(value.error()));
        for (const std::string& name : names) {
            if (node.pipeline.assigns && variable(name) == nullptr) return undefined(name);
        }
        bool any = false;
        bool ended = false;
        const auto turn = [&](GoValue key, const GoValue& item) -> Result<void> {
            any = true;
            const Scope inner(variables_);
            if (!names.empty()) take_turn(node.pipeline.assigns, names, std::move(key), item);
            if (auto stepped = step(node.line); !stepped) return stepped;
            const auto flow = list(node.body, item);
            if (!flow) return std::unexpected(flow.error());
            ended = *flow == Flow::kBreak;
            return {};
        };
        Result<void> done;
        if (const auto* items = std::get_if<std::shared_ptr<const GoValue::List>>(&value->value)) {
            std::int64_t i = 0;
            for (const GoValue& item : **items) {
                if (!ended && done) done = turn(GoValue(i++), item);
            }
        } else if (const auto* map = std::get_if<std::shared_ptr<const GoValue::Map>>(&value->value);
                   map != nullptr && !(*map)->is_struct) {
            for (const auto& [name, item] : (*map)->entries) {
                if (!ended && done) done = turn(GoValue(name, value->origin), item);
            }
        } else if (const auto* number = std::get_if<std::int64_t>(&value->value)) {
            for (std::int64_t i = 0; i < *number && !ended && done; ++i) done = turn(GoValue(i), GoValue(i));
        } else if (!value->is_nil()) {
            return wrong_at(node.line, fmt::format("range can't iterate over {}", value->kind()));
        }
        if (!done) return std::unexpected(std::move(done.error()));
        return any ? Flow::kOn : list(node.other, dot);
    }

    void take_turn(bool assigns, const std::vector<std::string>& names, GoValue key, const GoValue& item) {
        if (names.size() > 1) set(assigns, names[0], std::move(key));
        set(assigns, names.back(), item);
    }

    void set(bool assigns, const std::string& name, GoValue value) {
        if (assigns) {
            if (Variable* known = variable(name)) known->value = std::move(value);
        } else {
            variables_.push_back({name, std::move(value)});
        }
    }

    Variable* variable(const std::string& name) {
        for (std::size_t i = variables_.size(); i > 0; --i) {
            if (variables_[i - 1].name == name) return &variables_[i - 1];
        }
        return nullptr;
    }

    Result<GoValue> value_of(const Pipeline& pipeline, const GoValue& dot) {
        std::optional<GoValue> value;
        for (const Command& command : pipeline.commands) {
            auto next = run(command, dot, std::move(value));
            if (!next) return next;
            value = std::move(*next);
        }
        return std::move(*value);
    }

    /// Its variables get the value, too.
    Result<GoValue> evaluate(const Pipeline& pipeline, const GoValue& dot) {
        auto value = value_of(pipeline, dot);
        if (!value) return value;
        for (const std::string& name : pipeline.variables) {
            if (pipeline.assigns && variable(name) == nullptr) return undefined(name);
            set(pipeline.assigns, name, *value);
        }
        return value;
    }

    [[nodiscard]] std::unexpected<Error> undefined(const std::string& name) const {
        return wrong_at(line_, fmt::format("variable ${} is not known", name.substr(0, 40)));
    }

    Result<GoValue> run(const Command& command, const GoValue& dot, std::optional<GoValue> piped) {
        if (auto stepped = step(line_); !stepped) return std::unexpected(std::move(stepped.error()));
        const Term& first = command.front();
        if (first.kind != Term::Kind::kFunction) {
            if (piped) return wrong_at(line_, "a value is piped into what is no function");
            if (first.kind == Term::Kind::kNil) return wrong_at(line_, "nil is not a command");
            return term(first, dot);
        }
        const bool is_and = first.name == "and";
        const bool decides = is_and || first.name == "or";
        std::vector<GoValue> arguments;
        for (std::size_t i = 1; i < command.size(); ++i) {
            auto value = term(command[i], dot);
            if (!value) return value;
            const bool is_last = i + 1 == command.size() && !piped;
            if (decides && (is_last || value->is_true() != is_and)) return value;
            arguments.push_back(std::move(*value));
        }
        if (piped) arguments.push_back(std::move(*piped));
        if (decides) {
            if (arguments.empty()) return wrong_at(line_, first.name + " wants an argument");
            return std::move(arguments.back());
        }
        if (first.name == "not") {
            if (arguments.size() != 1) return wrong_at(line_, "not wants one argument");
            return GoValue(!arguments.front().is_true());
        }
        auto made = find_go_function(first.name)(arguments);
        if (!made) return wrong_at(line_, made.error().message);
        n_bytes_made_ +=
            std::holds_alternative<std::string>(made->value) ? std::get<std::string>(made->value).size() : 0;
        if (n_bytes_made_ > kMostBytes) return wrong_at(line_, "the template makes too much text");
        return made;
    }

    Result<GoValue> term(const Term& its, const GoValue& dot) {
        GoValue value;
        switch (its.kind) {
            case Term::Kind::kDot: value = dot; break;
            case Term::Kind::kNil: return GoValue();
            case Term::Kind::kLiteral: return its.literal;
            case Term::Kind::kFunction: return run({its}, dot, std::nullopt);
            case Term::Kind::kVariable: {
                const Variable* known = variable(its.name);
                if (known == nullptr) return undefined(its.name);
                value = known->value;
                break;
            }
            case Term::Kind::kPipeline: {
                auto inner = evaluate(*its.pipeline, dot);
                if (!inner) return inner;
                value = std::move(*inner);
                break;
            }
        }
        for (const std::string& field : its.fields) {
            const auto* map = std::get_if<std::shared_ptr<const GoValue::Map>>(&value.value);
            if (map == nullptr) {
                return wrong_at(line_,
                                fmt::format("can't evaluate field {} in type {}", field.substr(0, 40), value.kind()));
            }
            const auto found = (*map)->entries.find(field);
            if (found == (*map)->entries.end() && (*map)->is_struct) {
                return wrong_at(line_, fmt::format("there is no field {}", field.substr(0, 40)));
            }
            GoValue next = found == (*map)->entries.end() ? GoValue() : found->second;
            value = std::move(next);
        }
        const auto* const text = std::get_if<std::string>(&value.value);
        n_bytes_read_ += text == nullptr ? 0 : text->size();
        if (n_bytes_read_ > kMostBytesRead) return wrong_at(line_, "the template looks at too much text");
        return value;
    }

    const GoTemplate::Tree& tree_;
    const GoSink& sink_;
    const GoCancel& cancelled_;
    std::vector<Variable> variables_;
    int n_steps_ = 0;
    int depth_ = 0;
    std::size_t n_bytes_ = 0;
    std::size_t n_bytes_made_ = 0;
    std::size_t n_bytes_read_ = 0;
    std::size_t line_ = 1;
};

}  // namespace
}  // namespace go

Result<void> GoTemplate::execute(const GoValue& dot, const GoSink& sink, const GoCancel& cancelled) const {
    go::Run run(*tree_, dot, sink, cancelled);
    const auto flow = run.list(tree_->root, dot);
    if (!flow) return std::unexpected(flow.error());
    return {};
}

}  // namespace sutazai::text
