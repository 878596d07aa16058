#pragma once

#include <boost/asio/awaitable.hpp>
#include <vector>

#include "base/error.h"
#include "http/exchange.h"
#include "http/router.h"
#include "http/services.h"

/// The handlers, by family, and the table that leads to them.
namespace sutazai::http {

[[nodiscard]] std::vector<Route> all_routes();

// streaming_v1_routes.cpp
boost::asio::awaitable<Result<void>> post_chat_stream(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_batch_process(Services& services, Exchange& exchange);

// metrics_routes.cpp
boost::asio::awaitable<Result<void>> get_performance_metrics(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_prometheus(Services& services, Exchange& exchange);

// telemetry.cpp
boost::asio::awaitable<Result<void>> get_telemetry(Services& services, Exchange& exchange);

// cache_manage_route.cpp
boost::asio::awaitable<Result<void>> post_cache_manage(Services& services, Exchange& exchange);

// anthropic_routes.cpp
boost::asio::awaitable<Result<void>> post_messages(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_count_tokens(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> send_models_page(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> send_model_info(Services& services, Exchange& exchange);

// openai_routes.cpp
boost::asio::awaitable<Result<void>> post_chat_completions(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_completions(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_embeddings(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_models(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_model(Services& services, Exchange& exchange);

// responses_routes.cpp
boost::asio::awaitable<Result<void>> post_responses(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_input_tokens(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_response_action(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_response(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> delete_response(Services& services, Exchange& exchange);

// files_routes.cpp
boost::asio::awaitable<Result<void>> post_file(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_files(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_file(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> delete_file(Services& services, Exchange& exchange);

// batches_routes.cpp
boost::asio::awaitable<Result<void>> post_batch(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_batches(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_batch(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_batch_cancel(Services& services, Exchange& exchange);

// llama_server_routes.cpp
boost::asio::awaitable<Result<void>> post_llama_completion(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_infill(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_props(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_slots(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_rerank(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_tokenize(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_detokenize(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_apply_template(Services& services, Exchange& exchange);

// ollama_routes.cpp
boost::asio::awaitable<Result<void>> post_ollama_chat(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_ollama_generate(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_ollama_embed(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_ollama_embeddings(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_ollama_tags(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_ollama_ps(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_ollama_show(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_ollama_version(Services& services, Exchange& exchange);

// ollama_transfer_routes.cpp
boost::asio::awaitable<Result<void>> post_ollama_pull(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_ollama_push(Services& services, Exchange& exchange);

// ollama_store_routes.cpp
boost::asio::awaitable<Result<void>> post_ollama_blob(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> head_ollama_blob(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_ollama_create(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> post_ollama_copy(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> delete_ollama_model(Services& services, Exchange& exchange);

// page_routes.cpp
boost::asio::awaitable<Result<void>> get_root(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_page_part(Services& services, Exchange& exchange);

// health_routes.cpp
boost::asio::awaitable<Result<void>> get_health(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_openapi(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_ready(Services& services, Exchange& exchange);
boost::asio::awaitable<Result<void>> get_advanced_health(Services& services, Exchange& exchange);

}  // namespace sutazai::http
