#include "grammar/token_constraint.h"

#include <utility>

namespace sutazai::grammar {

TokenConstraint::TokenConstraint(std::shared_ptr<const Automaton> automaton, const TokenTrie& trie,
                                 std::size_t most_bytes)
    : trie_(trie), most_bytes_(most_bytes), matcher_(std::move(automaton)), path_(trie.deepest() + 1) {}

bool TokenConstraint::start(Work& work) {
    at_ = matcher_.start(work);
    return at_ >= 0;
}

Matcher::Position TokenConstraint::after(std::int32_t token, Work& work) {
    const std::string_view text = trie_.text(token);
    const Matcher::Position by_text = text.empty() ? Matcher::kDead : matcher_.walk(at_, text, work);
    if (by_text == Matcher::kTooDear || !matcher_.automaton().names_tokens()) return by_text;
    const Matcher::Position by_number = matcher_.step_token(at_, token, !text.empty(), work);
    if (by_number == Matcher::kTooDear || by_text == Matcher::kDead) return by_number;
    return by_number == Matcher::kDead ? by_text : matcher_.either(by_text, by_number, work);
}

TokenConstraint::Answer TokenConstraint::allows(std::int32_t token, Work& work) {
    if (const auto known = allowed_.find(at_); known != allowed_.end()) {
        return known->second[static_cast<std::size_t>(token)] ? Answer::kYes : Answer::kNo;
    }
    const Matcher::Position to = after(token, work);
    return to == Matcher::kTooDear ? Answer::kTooDear : to == Matcher::kDead ? Answer::kNo : Answer::kYes;
}

const std::vector<bool>* TokenConstraint::allowed(Work& work) {
    if (const auto known = allowed_.find(at_); known != allowed_.end()) return &known->second;
    if (walked_.empty()) {
        walked_.resize(trie_.size());
        next_node_ = 0;
        path_[0] = at_;
    }
    std::vector<bool>& set = walked_;
    const auto& nodes = trie_.nodes();
    for (std::size_t& i = next_node_; i + 1 < nodes.size();) {
        const TokenTrie::Node& node = nodes[i];
        const Matcher::Position to = matcher_.step(path_[node.depth - 1U], node.byte, work);
        if (to == Matcher::kTooDear || ((i & 63U) == 0 && !work.take(16))) return nullptr;
        if (to == Matcher::kDead) {
            i = node.end;
            continue;
        }
        path_[node.depth] = to;
        for (std::uint32_t t = node.tokens; t < nodes[i + 1].tokens; ++t) {
            set[static_cast<std::size_t>(trie_.tokens()[t])] = true;
        }
        ++i;
    }
    if (matcher_.automaton().names_tokens()) {
        const Matcher::NamedTokens named = matcher_.named_tokens(at_);
        for (const std::int32_t token : named.tokens) {
            if (token >= 0 && static_cast<std::size_t>(token) < set.size()) set[static_cast<std::size_t>(token)] = true;
        }
        for (const std::int32_t except : named.all_but) {
            for (std::size_t token = 0; token < set.size(); ++token) {
                if (!trie_.text(static_cast<std::int32_t>(token)).empty() && static_cast<std::int32_t>(token) != except)
                    set[token] = true;
            }
        }
    }
    if (allowed_.size() * trie_.size() / 8 > most_bytes_) allowed_.clear();
    return &allowed_.emplace(at_, std::exchange(walked_, {})).first->second;
}

TokenConstraint::Answer TokenConstraint::accept(std::int32_t token, Work& work) {
    return take(after(token, work));
}

TokenConstraint::Answer TokenConstraint::accept_text(std::string_view bytes, Work& work) {
    return take(matcher_.walk(at_, bytes, work));
}

TokenConstraint::Answer TokenConstraint::take(Matcher::Position to) {
    if (to < 0) return to == Matcher::kTooDear ? Answer::kTooDear : Answer::kNo;
    at_ = to;
    walked_.clear();
    if (matcher_.bytes() > most_bytes_) {
        at_ = matcher_.forget_all_but(at_);
        allowed_.clear();
    }
    return Answer::kYes;
}

}  // namespace sutazai::grammar
