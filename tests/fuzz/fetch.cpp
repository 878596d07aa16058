// What registries, and whoever stands between, send; and the state of downloads. The first byte says which it is.
#include <cstdint>
#include <string>
#include <string_view>

#include "fetch/address.h"
#include "fetch/challenge.h"
#include "fetch/hf_tree.h"
#include "fetch/ranges.h"
#include "fetch/source.h"
#include "fetch/url.h"
#include "require.h"

namespace {

using namespace sutazai::fetch;

void state(std::string_view text) {
    const auto state = decode_state(text);
    if (!state) return;
    REQUIRE(state->done.bytes() <= state->size);
    REQUIRE(state->done.ranges().empty() || state->done.ranges().back().end <= state->size);
    REQUIRE(state->synced.ranges().empty() || state->synced.ranges().back().end <= state->size);
    REQUIRE(decode_state(encode_state(*state)) == state);
    std::uint64_t missing = 0;
    // Pieces of a quarter, so that a size of petabytes makes no million of them.
    for (const Range& range : state->done.missing(state->size, state->size / 4 + 1)) missing += range.bytes();
    REQUIRE(missing + state->done.bytes() == state->size);
}

void content_range(std::string_view text) {
    const auto read = parse_content_range(text);
    if (read) REQUIRE(read->range.begin < read->range.end && read->range.end <= read->size);
}

void challenge(std::string_view text) {
    const auto read = parse_challenge(text);
    if (read) REQUIRE(read->scheme == "basic" || !read->parameter("realm").empty());
}

void url(std::string_view text) {
    const auto base = parse_url("https://host.example/a/b?c");
    REQUIRE(base);
    for (const auto& read : {parse_url(text), resolve_url(*base, text)}) {
        if (!read) continue;
        REQUIRE(read->scheme == "http" || read->scheme == "https");
        REQUIRE(!read->host.empty() && read->port != 0);
        REQUIRE(parse_url(read->text()) == *read);
        REQUIRE(is_public_literal(read->host) || read->host.find(':') == std::string::npos);
    }
}

void hf_tree(std::string_view text) {
    const auto files = parse_hf_tree(text);
    if (!files) return;
    const auto chosen = choose_hf_file("a/b", *files, "");
    REQUIRE(chosen || !chosen.error().message.empty());
}

void source(std::string_view text) {
    const auto source = parse_source(text);
    if (!source) return;
    REQUIRE(sutazai::catalog::parse_ollama_name(source->name.full()) == source->name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 6) {
        case 0: state(text); break;
        case 1: content_range(text); break;
        case 2: challenge(text); break;
        case 3: url(text); break;
        case 4: hf_tree(text); break;
        default: source(text);
    }
    return 0;
}
