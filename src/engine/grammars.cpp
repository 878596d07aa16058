#include "engine/grammars.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace sutazai::engine {
namespace {

std::string key_of(const GenerationRequest& request) {
    const bool is_schema = request.grammar.empty();
    const char kind = is_schema ? 's' : request.grammar_is_of_tools ? 't' : 'g';
    return fmt::format("{}:{}{}{}", request.cache_salt.size(), request.cache_salt, kind,
                       is_schema ? request.json_schema : request.grammar);
}

}  // namespace

const MadeGrammar* GrammarCache::find(const std::string& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    kept_.splice(kept_.begin(), kept_, found->second);
    return &found->second->made;
}

void GrammarCache::keep(const std::string& key, MadeGrammar made) {
    if (by_key_.contains(key)) return;
    constexpr std::size_t kOfEntry = 256;
    const std::size_t bytes = kOfEntry + 2 * key.size() + (made ? (*made)->bytes() : made.error().message.size());
    if (bytes > most_bytes_) return;
    kept_.push_front({key, std::move(made), bytes});
    by_key_.emplace(key, kept_.begin());
    bytes_ += bytes;
    while (bytes_ > most_bytes_) {
        bytes_ -= kept_.back().bytes;
        by_key_.erase(kept_.back().key);
        kept_.pop_back();
    }
}

const MadeGrammar* Grammars::find(const GenerationRequest& request) {
    const MadeGrammar* made = cache_.find(key_of(request));
    if (made != nullptr) ++hits_;
    return made;
}

Grammars::Joined Grammars::join(Prepared prepared) {
    std::string key = key_of(prepared.request);
    std::shared_ptr<Compilation>& compilation = compilations_[key];
    const bool is_first = compilation == nullptr;
    ++(is_first ? misses_ : hits_);
    if (is_first) {
        compilation = std::make_shared<Compilation>();
        compilation->key = std::move(key);
        compilation->source = *llama::GrammarSource::of(prepared.request);
    }
    compilation->waiting.push_back(std::move(prepared));
    return {compilation, is_first};
}

std::vector<Prepared> Grammars::end(Compilation& compilation, const MadeGrammar& made) {
    if (made || made.error().code == ErrorCode::kInvalidArgument) cache_.keep(compilation.key, made);
    // It may have been abandoned, and begun anew.
    const auto found = compilations_.find(compilation.key);
    if (found != compilations_.end() && found->second.get() == &compilation) compilations_.erase(found);
    return std::exchange(compilation.waiting, {});
}

void Grammars::postpone(std::shared_ptr<Compilation> compilation) {
    compilation->is_long = true;
    postponed_.push_back(std::move(compilation));
}

std::shared_ptr<Compilation> Grammars::take_postponed() {
    std::shared_ptr<Compilation> first = std::move(postponed_.front());
    postponed_.pop_front();
    return first;
}

bool Grammars::leave(RequestId id) {
    const auto is_it = [&](const Prepared& prepared) { return prepared.id == id; };
    for (const auto& [key, compilation] : compilations_) {
        if (std::erase_if(compilation->waiting, is_it) == 0) continue;
        abandon_unwanted();
        return true;
    }
    return false;
}

std::vector<Prepared> Grammars::take_late(const QueueTimeout& timeout) {
    std::vector<Prepared> late;
    for (const auto& [key, compilation] : compilations_) {
        auto& waiting = compilation->waiting;
        const auto first = std::stable_partition(waiting.begin(), waiting.end(), [&](const Prepared& prepared) {
            return !timeout.is_over(prepared.submitted);
        });
        std::move(first, waiting.end(), std::back_inserter(late));
        waiting.erase(first, waiting.end());
    }
    if (!late.empty()) abandon_unwanted();
    return late;
}

void Grammars::abandon_unwanted() {
    std::erase_if(compilations_, [](const auto& entry) {
        entry.second->is_unwanted = entry.second->waiting.empty();
        return entry.second->waiting.empty();
    });
    std::erase_if(postponed_, [](const auto& compilation) { return compilation->is_unwanted.load(); });
}

void Grammars::stop() {
    for (const auto& [key, compilation] : compilations_) compilation->is_unwanted = true;
}

}  // namespace sutazai::engine
