#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/go_lexer.h"
#include "text/go_nodes.h"

namespace sutazai::text {
namespace go {
namespace {

using Kind = Token::Kind;

constexpr std::size_t kMostBytes = 1 << 20;

bool is_keyword(std::string_view word) {
    constexpr std::string_view kKeywords[] = {"if",    "else",     "end",    "with",  "range",
                                              "break", "continue", "define", "block", "template"};
    return std::ranges::find(kKeywords, word) != std::end(kKeywords);
}

bool is_function(const std::string& word) {
    return word == "and" || word == "or" || word == "not" || find_go_function(word) != nullptr;
}

class Parser {
  public:
    Parser(std::vector<Token> tokens, GoTemplate::Tree& tree) : tokens_(std::move(tokens)), tree_(tree) {}

    Result<void> run() {
        auto end = list(tree_.root, 0);
        if (!end) return std::unexpected(end.error());
        if (*end != End::kSource)
            return wrong(fmt::format("unexpected {{{{{}}}}}", *end == End::kElse ? "else" : "end"));
        return {};
    }

  private:
    enum class End { kSource, kEnd, kElse };

    [[nodiscard]] const Token& now() const { return tokens_[at_]; }
    [[nodiscard]] std::unexpected<Error> wrong(std::string_view what) const { return wrong_at(now().line, what); }
    void skip_space() {
        while (now().kind == Kind::kSpace) ++at_;
    }
    [[nodiscard]] bool take(Kind kind) {
        if (now().kind != kind) return false;
        ++at_;
        return true;
    }
    [[nodiscard]] bool take_word(std::string_view word) {
        if (now().kind != Kind::kWord || now().text != word) return false;
        ++at_;
        skip_space();
        return true;
    }
    Result<void> close() {
        skip_space();
        if (!take(Kind::kClose)) return wrong("unexpected word in an action");
        return {};
    }

    /// Up to the end of the block, which is taken; behind {{else the rest of its action follows.
    Result<End> list(std::vector<Node>& out, std::size_t depth) {
        if (depth > kDeepest) return wrong(fmt::format("blocks are nested more than {} deep", kDeepest));
        for (;;) {
            if (now().kind == Kind::kEnd) return End::kSource;
            if (now().kind == Kind::kText) {
                out.push_back({.line = now().line, .text = now().text});
                ++at_;
                continue;
            }
            ++at_;  // {{
            skip_space();
            if (take_word("end")) {
                if (auto closed = close(); !closed) return std::unexpected(closed.error());
                return End::kEnd;
            }
            if (take_word("else")) return End::kElse;
            if (auto done = action(out, depth); !done) return std::unexpected(done.error());
        }
    }

    Result<void> action(std::vector<Node>& out, std::size_t depth) {
        const std::size_t line = now().line;
        if (take_word("define")) return define(depth);
        if (take_word("block")) return block(out, depth, line);
        if (take_word("template")) {
            Node node{.kind = Node::Kind::kTemplate, .line = line};
            if (auto read = name(node.text); !read) return read;
            if (now().kind != Kind::kClose) {
                if (auto read = pipeline(node.pipeline, depth); !read) return read;
            }
            out.push_back(std::move(node));
            return close();
        }
        for (const auto& [word, kind] :
             {std::pair{"break", Node::Kind::kBreak}, std::pair{"continue", Node::Kind::kContinue}}) {
            if (!take_word(word)) continue;
            if (n_ranges_ == 0) return wrong(fmt::format("{} outside of a range", word));
            out.push_back({.kind = kind, .line = line});
            return close();
        }
        for (const auto& [word, kind] : {std::pair{"if", Node::Kind::kIf}, std::pair{"with", Node::Kind::kWith},
                                         std::pair{"range", Node::Kind::kRange}}) {
            if (!take_word(word)) continue;
            out.push_back({.kind = kind, .line = line});
            return branch(out.back(), depth);
        }
        Node node{.kind = Node::Kind::kAction, .line = line};
        if (auto read = pipeline(node.pipeline, depth); !read) return read;
        out.push_back(std::move(node));
        return close();
    }

    Result<void> branch(Node& node, std::size_t depth) {
        if (depth > kDeepest) return wrong(fmt::format("blocks are nested more than {} deep", kDeepest));
        const bool is_range = node.kind == Node::Kind::kRange;
        if (auto read = pipeline(node.pipeline, depth); !read) return read;
        if (auto closed = close(); !closed) return closed;
        n_ranges_ += is_range ? 1 : 0;
        auto end = list(node.body, depth + 1);
        n_ranges_ -= is_range ? 1 : 0;
        if (!end) return std::unexpected(end.error());
        if (*end == End::kElse) {
            const std::size_t line = now().line;
            for (const auto& [word, kind] : {std::pair{"if", Node::Kind::kIf}, std::pair{"with", Node::Kind::kWith}}) {
                if (is_range || node.kind != kind || !take_word(word)) continue;
                node.other.push_back({.kind = kind, .line = line});
                return branch(node.other.back(), depth + 1);  // whose end is this one's, too
            }
            if (auto closed = close(); !closed) return closed;
            end = list(node.other, depth + 1);
            if (!end) return std::unexpected(end.error());
        }
        if (*end != End::kEnd) return wrong(*end == End::kElse ? "a second else" : "a block has no {{end}}");
        return {};
    }

    Result<void> name(std::string& out) {
        const auto* text = now().kind == Kind::kLiteral ? std::get_if<std::string>(&now().literal.value) : nullptr;
        if (text == nullptr) return wrong("the name of a template is missing");
        out = *text;
        ++at_;
        skip_space();
        return {};
    }

    Result<void> define(std::size_t depth) {
        if (depth > 0) return wrong("define within a block");
        std::string its;
        if (auto read = name(its); !read) return read;
        if (auto closed = close(); !closed) return closed;
        return body_of(its);
    }

    Result<void> block(std::vector<Node>& out, std::size_t depth, std::size_t line) {
        Node node{.kind = Node::Kind::kTemplate, .line = line};
        if (auto read = name(node.text); !read) return read;
        if (auto read = pipeline(node.pipeline, depth); !read) return read;
        if (auto closed = close(); !closed) return closed;
        if (auto read = body_of(node.text); !read) return read;
        out.push_back(std::move(node));
        return {};
    }

    Result<void> body_of(const std::string& its) {
        std::vector<Node> body;
        const int n_ranges = std::exchange(n_ranges_, 0);
        auto end = list(body, 1);
        n_ranges_ = n_ranges;
        if (!end) return std::unexpected(end.error());
        if (*end != End::kEnd) return wrong(fmt::format("template \"{}\" has no {{{{end}}}}", its));
        if (!tree_.defined.try_emplace(its, std::move(body)).second) {
            return wrong(fmt::format("template \"{}\" is defined twice", its));
        }
        return {};
    }

    /// Variables that get the value, if it begins with them.
    Result<void> declaration(Pipeline& out) {
        const std::size_t begin = at_;
        std::vector<std::string> names;
        while (now().kind == Kind::kVariable && names.size() < 2) {
            names.push_back(now().text);
            ++at_;
            skip_space();
            if (!take(Kind::kComma)) break;
            skip_space();
        }
        const bool declares = !names.empty() && now().kind == Kind::kDeclare;
        const bool assigns = !names.empty() && now().kind == Kind::kAssign;
        if (!declares && !assigns) {
            if (names.size() > 1) return wrong("unexpected comma");
            at_ = begin;
            return {};
        }
        ++at_;
        skip_space();
        out.variables = std::move(names);
        out.assigns = assigns;
        return {};
    }

    Result<void> pipeline(Pipeline& out, std::size_t depth) {
        if (depth > kDeepest) return wrong(fmt::format("parentheses are nested more than {} deep", kDeepest));
        skip_space();
        if (auto read = declaration(out); !read) return read;
        for (;;) {
            Command& command = out.commands.emplace_back();
            if (auto read = arguments(command, depth); !read) return read;
            if (!take(Kind::kPipe)) return {};
            skip_space();
        }
    }

    Result<void> arguments(Command& out, std::size_t depth) {
        for (;;) {
            skip_space();
            if (now().kind == Kind::kClose || now().kind == Kind::kRight || now().kind == Kind::kPipe) break;
            Term& term = out.emplace_back();
            if (auto read = operand(term, depth); !read) return read;
            while (now().kind == Kind::kField) {
                const bool has_fields = term.kind == Term::Kind::kVariable || term.kind == Term::Kind::kPipeline ||
                                        (term.kind == Term::Kind::kDot && !term.fields.empty());
                if (!has_fields) return wrong(fmt::format("unexpected .{}", now().text));
                term.fields.push_back(now().text);
                ++at_;
            }
            const Kind next = now().kind;
            if (next != Kind::kSpace && next != Kind::kClose && next != Kind::kRight && next != Kind::kPipe) {
                return wrong("a space is missing between two arguments");
            }
        }
        if (out.empty()) return wrong("a value is missing");
        if (out.size() > 1 && out.front().kind != Term::Kind::kFunction) {
            return wrong("what is no function has arguments");
        }
        return {};
    }

    Result<void> operand(Term& out, std::size_t depth) {
        const Token token = now();
        ++at_;
        switch (token.kind) {
            case Kind::kDot: return {};
            case Kind::kField: out.fields.push_back(token.text); return {};
            case Kind::kVariable:
                out.kind = Term::Kind::kVariable;
                out.name = token.text;
                return {};
            case Kind::kLiteral:
                out.kind = Term::Kind::kLiteral;
                out.literal = token.literal;
                return {};
            case Kind::kWord:
                if (token.text == "nil") {
                    out.kind = Term::Kind::kNil;
                } else if (token.text == "true" || token.text == "false") {
                    out.kind = Term::Kind::kLiteral;
                    out.literal = GoValue(token.text == "true");
                } else if (is_function(token.text)) {
                    out.kind = Term::Kind::kFunction;
                    out.name = token.text;
                } else if (is_keyword(token.text)) {
                    return wrong_at(token.line, fmt::format("unexpected {{{{{}}}}}", token.text));
                } else {
                    return wrong_at(token.line, fmt::format("function \"{}\" is not known", token.text.substr(0, 40)));
                }
                return {};
            case Kind::kLeft: {
                auto inner = std::make_shared<Pipeline>();
                if (auto read = pipeline(*inner, depth + 1); !read) return read;
                skip_space();
                if (!take(Kind::kRight)) return wrong("a parenthesis has no end");
                out.kind = Term::Kind::kPipeline;
                out.pipeline = std::move(inner);
                return {};
            }
            default: return wrong_at(token.line, "a value is missing");
        }
    }

    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    int n_ranges_ = 0;  // that it is in
    GoTemplate::Tree& tree_;
};

bool mentions(const Pipeline& pipeline, std::string_view field) {
    for (const Command& command : pipeline.commands) {
        for (const Term& term : command) {
            if (std::ranges::find(term.fields, field) != term.fields.end()) return true;
            if (term.pipeline != nullptr && mentions(*term.pipeline, field)) return true;
        }
    }
    return false;
}

bool mentions(const std::vector<Node>& nodes, std::string_view field) {
    return std::ranges::any_of(nodes, [&](const Node& node) {
        return mentions(node.pipeline, field) || mentions(node.body, field) || mentions(node.other, field);
    });
}

/// True when the action was among them.
bool cut(std::vector<Node>& nodes, std::string_view field) {
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        Node& node = nodes[i];
        bool found = node.kind == Node::Kind::kAction && mentions(node.pipeline, field);
        if (!found && cut(node.body, field)) {
            found = true;
            node.other.clear();
        }
        if (!found && !cut(node.other, field)) continue;
        nodes.resize(i + 1);
        return true;
    }
    return false;
}

}  // namespace
}  // namespace go

Result<GoTemplate> GoTemplate::parse(std::string_view source) {
    if (source.size() > go::kMostBytes) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("it has more than {} bytes", go::kMostBytes));
    }
    auto tokens = go::lex(source);
    if (!tokens) return std::unexpected(std::move(tokens.error()));
    auto tree = std::make_shared<Tree>();
    if (auto parsed = go::Parser(std::move(*tokens), *tree).run(); !parsed) {
        return std::unexpected(std::move(parsed.error()));
    }
    return GoTemplate(std::move(tree));
}

bool GoTemplate::uses(std::string_view field) const {
    return go::mentions(tree_->root, field) ||
           std::ranges::any_of(tree_->defined, [&](const auto& its) { return go::mentions(its.second, field); });
}

GoTemplate GoTemplate::cut_behind(std::string_view field) const {
    auto tree = std::make_shared<Tree>(*tree_);
    go::cut(tree->root, field);
    return GoTemplate(std::move(tree));
}

GoTemplate GoTemplate::with_field(std::string_view field) const {
    auto tree = std::make_shared<Tree>(*tree_);
    go::Node node{.kind = go::Node::Kind::kAction};
    node.pipeline.commands = {{go::Term{.fields = {std::string(field)}}}};
    tree->root.push_back(std::move(node));
    return GoTemplate(std::move(tree));
}

}  // namespace sutazai::text
