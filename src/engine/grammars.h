#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/prepared.h"
#include "engine/queue_timeout.h"
#include "llama/grammar.h"

namespace sutazai::engine {

/// A grammar, or why there is none.
using MadeGrammar = Result<std::shared_ptr<const llama::CompiledGrammar>>;

/// What was made of grammars, by a key that tells them apart; the least recently used is given up past a number of
/// bytes. One thread at a time.
class GrammarCache {
  public:
    explicit GrammarCache(std::size_t most_bytes) : most_bytes_(most_bytes) {}

    /// Null when it is not known. Valid until the next keep().
    [[nodiscard]] const MadeGrammar* find(const std::string& key);
    void keep(const std::string& key, MadeGrammar made);

    [[nodiscard]] std::size_t bytes() const { return bytes_; }

  private:
    struct Kept {
        std::string key;
        MadeGrammar made;
        std::size_t bytes;
    };

    std::size_t most_bytes_;
    std::size_t bytes_ = 0;
    std::list<Kept> kept_;  ///< the last used first
    std::unordered_map<std::string, std::list<Kept>::iterator> by_key_;
};

/// A grammar that is being made, and the requests that wait for it.
struct Compilation {
    std::string key;
    llama::GrammarSource source;
    std::vector<Prepared> waiting = {};
    bool is_long = false;                   ///< it waits for the thread of long ones, or is there
    std::atomic<bool> is_unwanted = false;  ///< nobody waits any more; any thread may ask
};

/// The grammars of an engine's requests, each made once for all that want it at the same time. Grammars of one tenant
/// tell nothing about another's. Called under its owner's lock; the compilations are carried out outside of it.
class Grammars {
  public:
    /// The request's grammar, if it is known.
    [[nodiscard]] const MadeGrammar* find(const GenerationRequest& request);
    /// The request waits for its grammar, which is not known. True when it is the first to do so: then the caller makes
    /// it, else somebody is at it.
    struct Joined {
        std::shared_ptr<Compilation> compilation;
        bool is_first;
    };
    [[nodiscard]] Joined join(Prepared prepared);
    /// What came of a compilation, and who has waited for it. Kept is what would come of it
    /// again.
    [[nodiscard]] std::vector<Prepared> end(Compilation& compilation, const MadeGrammar& made);

    /// It takes long, and waits for its turn.
    void postpone(std::shared_ptr<Compilation> compilation);
    [[nodiscard]] bool has_postponed() const { return !postponed_.empty(); }
    [[nodiscard]] std::shared_ptr<Compilation> take_postponed();

    /// The request waits no longer. False when it does not.
    bool leave(RequestId id);
    /// Takes out the requests that have waited for too long.
    [[nodiscard]] std::vector<Prepared> take_late(const QueueTimeout& timeout);
    /// All compilations end soon.
    void stop();

    // Of requests with a grammar. Any thread.
    [[nodiscard]] std::uint64_t hits() const {
        return hits_.load(std::memory_order_relaxed);
    }  ///< it was there, or under way
    [[nodiscard]] std::uint64_t misses() const { return misses_.load(std::memory_order_relaxed); }

  private:
    void abandon_unwanted();

    GrammarCache cache_{std::size_t{32} << 20};
    std::unordered_map<std::string, std::shared_ptr<Compilation>> compilations_;
    std::deque<std::shared_ptr<Compilation>> postponed_;
    std::atomic<std::uint64_t> hits_{0}, misses_{0};
};

}  // namespace sutazai::engine
