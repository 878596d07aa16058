#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "engine/engine.h"
#include "llama/token_source.h"
#include "text/stop_matcher.h"
#include "text/utf8_stream.h"

namespace sutazai::engine {

/// One request between its preparation and its end.
struct Engine::Generation {
    RequestId id;
    llama::TokenSource source;
    text::Utf8Stream characters;
    text::StopMatcher stops;
    bool ignore_eos;
    std::string salt;
    std::chrono::steady_clock::time_point submitted;
    std::optional<std::chrono::steady_clock::time_point> first_token;
    std::uint32_t n_generated = 0;
    std::size_t n_bytes_out = 0;  ///< of the text

    Generation(const Model& model, Prepared& prepared)
        : id(prepared.id),
          source(model, prepared.request, std::move(prepared.grammar)),
          stops(prepared.request.stop),
          // Where the grammar lets the text end, it may leave nothing else.
          ignore_eos(prepared.request.ignore_eos && !source.has_grammar()),
          salt(prepared.request.cache_salt),
          submitted(prepared.submitted) {}
};

}  // namespace sutazai::engine
