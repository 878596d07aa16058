#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/json.h"
#include "base/error.h"

/// Ollama's API: what there is to be known of models. GET /api/tags, GET /api/ps and POST /api/show. Pure.
namespace sutazai::api::ollama {

/// What is told of every model. Texts are empty and numbers 0 where nothing is known.
struct ModelCard {
    std::string name;
    std::chrono::system_clock::time_point modified;
    std::uint64_t bytes = 0;
    std::string digest;               ///< 64 hex digits
    std::string parent = {};          ///< the model that it was made of
    std::string remote_model = {};    ///< as the server calls it that has it; empty: this one has
    std::string remote_host = {};     ///< that server
    std::string family = {};          ///< the architecture, for example "qwen2"
    std::string parameter_size = {};  ///< human_number()
    std::string quantization = {};    ///< "Q4_K_M" and so on
    std::uint64_t context_length = 0;
    std::uint64_t embedding_length = 0;
    std::vector<std::string> capabilities = {};  ///< "completion", "embedding", "insert", "vision", ...
};

/// A warm model.
struct RunningModel {
    ModelCard card;
    std::uint64_t bytes = 0;      ///< that it takes now
    std::uint64_t gpu_bytes = 0;  ///< of these, on a GPU
    std::uint64_t context_tokens = 0;
    std::optional<std::chrono::system_clock::time_point> expires;  ///< none: it stays until it has to make room
};

/// All of one model.
struct ModelPage {
    ModelCard card;
    std::string license, modelfile, parameters, chat_template, system;
    std::vector<std::pair<std::string, std::string>> messages = {};  ///< roles and texts, in front of every chat
    boost::json::object model_info;                                  ///< the file's own metadata
};

struct ShowBody {
    std::string model;
    bool verbose = false;  ///< with the arrays of the file's metadata
};

[[nodiscard]] std::string encode_tags(std::span<const ModelCard> models);
/// A model that stays gets an `expires_at` a hundred years from `now`: clients read a time there.
[[nodiscard]] std::string encode_ps(std::span<const RunningModel> models, std::chrono::system_clock::time_point now);
[[nodiscard]] Result<ShowBody> parse_show(std::string_view body);
[[nodiscard]] std::string encode_show(const ModelPage& page);

}  // namespace sutazai::api::ollama
