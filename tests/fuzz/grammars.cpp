// Grammars and schemas: the first byte says which. Rules or an error that says something; then an automaton, and a walk
// over bytes of the input within bounds.
#include <boost/json/parse.hpp>
#include <cstdint>
#include <memory>
#include <string_view>

#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sutazai::grammar;
    constexpr std::size_t kLongest = 4096;
    if (size == 0 || size > kLongest) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    sutazai::Result<Rules> rules = Rules();
    Work compiling{10'000'000};
    if (data[0] % 2 == 0) {
        rules = read_gbnf(input);
    } else {
        boost::json::error_code error;
        const boost::json::value schema = boost::json::parse(input, error);
        if (error) return 0;
        rules = read_json_schema(schema, compiling);
    }
    REQUIRE(rules || !rules.error().message.empty());
    if (!rules) return 0;
    auto automaton = Automaton::of(*rules, compiling);
    REQUIRE(automaton || !automaton.error().message.empty());
    if (!automaton) return 0;
    REQUIRE(automaton->size() <= kMaxStates);
    Matcher matcher(std::make_shared<const Automaton>(std::move(*automaton)));
    Work work{100'000};
    Matcher::Position at = matcher.start(work);
    for (const char byte : input) {
        if (at < 0) break;
        at = matcher.step(at, static_cast<std::uint8_t>(byte), work);
    }
    if (at >= 0) at = matcher.forget_all_but(at);
    return 0;
}
