#include "http/routes.h"

namespace sutazai::http {

std::vector<Route> all_routes() {
    using enum Method;
    using enum Family;
    return {
        {kPost, "/api/v1/streaming/chat/stream", kStreamingV1, post_chat_stream},
        {kPost, "/api/v1/streaming/batch/process", kStreamingV1, post_batch_process},
        {kGet, "/api/v1/streaming/performance/metrics", kStreamingV1, get_performance_metrics},
        {kGet, "/api/v1/streaming/health/advanced", kStreamingV1, get_advanced_health},
        {kPost, "/api/v1/streaming/cache/manage", kStreamingV1, post_cache_manage},
        {kPost, "/v1/chat/completions", kOpenAi, post_chat_completions},
        {kPost, "/v1/completions", kOpenAi, post_completions},
        {kPost, "/v1/embeddings", kOpenAi, post_embeddings},
        {kGet, "/v1/models", kOpenAi, get_models},
        {kGet, "/v1/models/*", kOpenAi, get_model},
        {kPost, "/v1/responses", kOpenAi, post_responses},
        {kPost, "/v1/responses/input_tokens", kOpenAi, post_input_tokens},
        {kPost, "/v1/responses/*", kOpenAi, post_response_action},
        {kGet, "/v1/responses/*", kOpenAi, get_response},
        {kDelete, "/v1/responses/*", kOpenAi, delete_response},
        {kPost, "/v1/messages", kAnthropic, post_messages},
        {kPost, "/v1/messages/count_tokens", kAnthropic, post_count_tokens},
        {kPost, "/completion", kOpenAi, post_llama_completion},
        {kPost, "/completions", kOpenAi, post_llama_completion},
        {kPost, "/infill", kOpenAi, post_infill},
        {kPost, "/v1/rerank", kOpenAi, post_rerank},
        {kPost, "/v1/reranking", kOpenAi, post_rerank},
        {kPost, "/rerank", kOpenAi, post_rerank},
        {kPost, "/reranking", kOpenAi, post_rerank},
        {kGet, "/props", kOpenAi, get_props},
        {kGet, "/slots", kOpenAi, get_slots},
        {kPost, "/tokenize", kOpenAi, post_tokenize},
        {kPost, "/detokenize", kOpenAi, post_detokenize},
        {kPost, "/apply-template", kOpenAi, post_apply_template},
        {kPost, "/api/chat", kOllama, post_ollama_chat},
        {kPost, "/api/generate", kOllama, post_ollama_generate},
        {kPost, "/api/embed", kOllama, post_ollama_embed},
        {kPost, "/api/embeddings", kOllama, post_ollama_embeddings},
        {kGet, "/api/tags", kOllama, get_ollama_tags},
        {kGet, "/api/ps", kOllama, get_ollama_ps},
        {kPost, "/api/show", kOllama, post_ollama_show},
        {kPost, "/api/pull", kOllama, post_ollama_pull},
        {kPost, "/api/push", kOllama, post_ollama_push},
        {kHead, "/api/blobs/*", kOllama, head_ollama_blob},
        {.method = kPost, .path = "/api/blobs/*", .family = kOllama, .handler = post_ollama_blob, .streams = true},
        {kPost, "/api/create", kOllama, post_ollama_create},
        {kPost, "/api/copy", kOllama, post_ollama_copy},
        {kDelete, "/api/delete", kOllama, delete_ollama_model},
        {kGet, "/api/version", kOllama, get_ollama_version, true},
        {kGet, "/", kStreamingV1, get_root, true},
        {kGet, "/health", kStreamingV1, get_health, true},
        {kGet, "/openapi.json", kStreamingV1, get_openapi, true},
        {kGet, "/ready", kStreamingV1, get_ready, true},
    };
}

}  // namespace sutazai::http
