#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include "base/utf8_stream.h"
#include "engine/engine.h"
#include "llama/token_source.h"
#include "text/stop_matcher.h"

namespace sutazai::engine {

/// One request between its preparation and its end.
struct Engine::Generation {
    RequestId id;
    llama::TokenSource source;
    Utf8Stream characters;
    text::StopMatcher stops;
    bool ignore_eos;
    const char* input_field;
    std::string salt;
    std::chrono::steady_clock::time_point submitted;
    std::optional<std::chrono::steady_clock::time_point> first_token;
    std::uint32_t n_generated = 0;
    std::size_t n_bytes_out = 0;  ///< of the text
    bool is_drawing = false;      ///< slow_draws_ has `source`
    std::optional<Token> drawn;   ///< by slow_draws_, while the request was preempted
    std::string draw_failure;     ///< of slow_draws_
    std::atomic<bool> is_gone = false;

    Generation(const Model& model, const Prepared& prepared, RequestId answer, std::unique_ptr<llama::Grammar> grammar)
        : id(answer),
          source(model, prepared.request, std::move(grammar)),
          stops(prepared.request.stop, stops_with_hidden_tokens(model, prepared.request.stop)),
          // Where the grammar lets the text end, it may leave nothing else.
          ignore_eos(prepared.request.ignore_eos && source.grammar() == nullptr),
          input_field(prepared.input_field),
          salt(prepared.request.cache_salt),
          submitted(prepared.submitted) {}

    /// Control tokens have no text in the answer; a stop string with the name of one is looked for among what was
    /// drawn.
    static std::vector<std::string> stops_with_hidden_tokens(const Model& model,
                                                             const std::vector<std::string>& stops) {
        std::vector<std::string> with;
        for (const std::string& stop : stops) {
            if (model.names_hidden_token(stop)) with.push_back(stop);
        }
        return with;
    }
};

}  // namespace sutazai::engine
