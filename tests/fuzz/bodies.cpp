// Request bodies: the first byte chooses the parser. A request, or an error that says something.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "api/batch.h"
#include "api/cache_manage.h"
#include "api/llama_completion.h"
#include "api/llama_server.h"
#include "api/ollama.h"
#include "api/openai.h"
#include "api/openai_completions.h"
#include "api/openai_embeddings.h"
#include "api/rerank.h"
#include "api/responses.h"
#include "api/streaming_v1.h"
#include "require.h"

namespace {

using namespace sutazai;

template <typename T>
void check(const Result<T>& parsed) {
    REQUIRE(parsed || !parsed.error().message.empty());
}

void check_sampling(const SamplingParams& sampling) {
    REQUIRE(sampling.temperature >= 0 && sampling.temperature <= 2);
    REQUIRE(sampling.top_k >= 0);
    REQUIRE(sampling.top_p > 0 && sampling.top_p <= 1);
    REQUIRE(sampling.min_p >= 0 && sampling.min_p <= 1);
    REQUIRE(sampling.repeat_penalty > 0 && sampling.repeat_penalty <= 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 13) {
        case 0: {
            const auto chat = api::streaming_v1::parse_chat(body);
            check(chat);
            if (chat) check_sampling(chat->generation.sampling);
            break;
        }
        case 1: {
            const auto chat = api::openai::parse_chat(body);
            check(chat);
            if (chat) check_sampling(chat->generation.sampling);
            break;
        }
        case 2: check(api::openai::parse_completion(body, 16)); break;
        case 3: check(api::openai::parse_embeddings(body, 16)); break;
        case 4: check(api::batch::parse(body, 16)); break;
        case 6: check(api::llama_server::parse_completion(body, 16)); break;
        case 7: check(api::llama_server::parse_infill(body)); break;
        case 8: check(api::rerank::parse(body, 16)); break;
        case 9: check(api::llama_server::parse_tokenize(body)); break;
        case 10: check(api::llama_server::parse_apply_template(body)); break;
        case 11: check(api::ollama::parse_chat(body)); break;
        case 12: {
            auto response = api::responses::parse_create(body);
            check(response);
            if (!response) break;
            check_sampling(response->generation.sampling);
            api::responses::name_items("resp_0", response->items);
            check(api::responses::join(response->instructions, {}, response->items));
            REQUIRE(!api::responses::input_json(response->items).empty());
            break;
        }
        default: check(api::parse_cache_command(body)); break;
    }
    return 0;
}
