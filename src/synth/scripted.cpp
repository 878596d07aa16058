#include "synth/scripted.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/system/error_code.hpp>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "synth/gguf_output.h"

namespace sutazai::synth {
namespace {

namespace json = boost::json;

constexpr std::int32_t kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6;  // llama.cpp's token types
constexpr std::int32_t kEnd = 2;
constexpr std::uint32_t kFeedForward = 32;
constexpr std::uint32_t kHeadWidth = 64;
constexpr std::size_t kMostTokens = 8192;

std::vector<std::string> control_tokens(std::string_view dialect) {
    if (dialect == "llama3") return {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};
    if (dialect == "mistral") return {"[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[TOOL_RESULTS]"};
    if (dialect == "gpt-oss") {
        return {"<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|call|>", "<|return|>"};
    }
    return {"<|im_start|>", "<|im_end|>"};
}

/// Tokens, and what comes after each.
class Script {
  public:
    explicit Script(std::string_view dialect) {
        for (std::string& name : control_tokens(dialect)) controls_.emplace(std::move(name), std::nullopt);
        add("<unk>", kUnknown);
        add("<s>", kControl);
        add("</s>", kControl);
        for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), kByte);
        for (auto& [name, id] : controls_) id = add(name, kControl);
    }

    Result<void> add_script(const std::string& key, const json::value& value) {
        const auto refuse = [&](std::string_view what) {
            return fail(ErrorCode::kInvalidArgument, fmt::format("the script '{}' {}", key, what), "scripts");
        };
        const bool is_plain = std::ranges::all_of(
            key, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; });
        if (key.empty() || !is_plain) return refuse("must have a name of letters, digits, - and _");
        const auto* pieces = value.if_array();
        if (pieces == nullptr || pieces->empty()) return refuse("must be a list of pieces");
        std::int32_t last = add(fmt::format("<go:{}>", key), kControl);
        keys_.push_back(key);
        std::vector<std::int32_t> spoken;
        for (std::size_t i = 0; i < pieces->size(); ++i) {
            if (const auto* loop = (*pieces)[i].if_object()) {
                const json::value* back = loop->if_contains("back");
                if (i + 1 < pieces->size() || back == nullptr || !back->is_int64() || back->get_int64() < 1 ||
                    std::cmp_greater(back->get_int64(), spoken.size())) {
                    return refuse("may have {\"back\": n} only in the end, with an n up to its number of tokens");
                }
                next_[last] = spoken[spoken.size() - static_cast<std::size_t>(back->get_int64())];
                return {};
            }
            const auto* piece = (*pieces)[i].if_string();
            if (piece == nullptr || piece->empty()) return refuse("must hold texts that are not empty");
            for (const std::int32_t id : tokens_of(std::string(*piece))) {
                if (id < 0) return refuse("holds a piece that cannot be told from others; cut it differently");
                next_[last] = id;
                spoken.push_back(last = id);
            }
            if (tokens_.size() > kMostTokens) return refuse("makes more than 8192 tokens");
        }
        next_[last] = kEnd;
        return {};
    }

    [[nodiscard]] const std::vector<std::string>& tokens() const { return tokens_; }
    [[nodiscard]] const std::vector<std::int32_t>& types() const { return types_; }
    [[nodiscard]] const std::vector<std::string>& keys() const { return keys_; }
    [[nodiscard]] std::int32_t after(std::int32_t token) const {
        const auto found = next_.find(token);
        return found == next_.end() ? kEnd : found->second;
    }

  private:
    std::int32_t add(const std::string& text, std::int32_t type) {
        known_.insert(text);
        tokens_.push_back(text);
        types_.push_back(type);
        return static_cast<std::int32_t>(tokens_.size() - 1);
    }

    /// One token, or two where there is one of this text already.
    std::vector<std::int32_t> tokens_of(const std::string& piece) {
        if (const auto control = controls_.find(piece); control != controls_.end() && control->second) {
            return {*std::exchange(control->second, std::nullopt)};
        }
        if (!known_.contains(piece)) return {add(piece, kUserDefined)};
        for (std::size_t cut = piece.size() - 1; cut > 0; --cut) {
            if ((static_cast<unsigned char>(piece[cut]) & 0xC0U) == 0x80) continue;  // whole characters
            const std::string front = piece.substr(0, cut);
            const std::string back = piece.substr(cut);
            if (front == back || known_.contains(front) || known_.contains(back)) continue;
            const std::int32_t first = add(front, kUserDefined);
            return {first, add(back, kUserDefined)};
        }
        return {-1};
    }

    std::vector<std::string> tokens_;
    std::vector<std::int32_t> types_;
    std::vector<std::string> keys_;
    std::set<std::string> known_;
    std::map<std::string, std::optional<std::int32_t>> controls_;  ///< those that no script has yet
    std::map<std::int32_t, std::int32_t> next_;
};

/// The dialect's, with the token that begins a script behind the last message's key.
std::string with_keys(std::string text, const Script& script) {
    const bool marks = text.find("add_generation_prompt") != std::string::npos;
    text += marks ? "{%- if add_generation_prompt -%}" : "{%- if messages[-1].role != 'assistant' -%}";
    text += "{%- set key = ((messages | last).content | string).split('#') | last -%}";
    for (const std::string& key : script.keys()) {
        text += fmt::format("{{%- if key == '{}' -%}}{{{{- '<go:{}>' -}}}}{{%- endif -%}}", key, key);
    }
    return text + "{%- endif -%}";
}

void write_tokens(const Script& script, const std::string& chat_template, gguf_context* file) {
    std::vector<const char*> texts;
    for (const std::string& token : script.tokens()) texts.push_back(token.c_str());
    const std::vector<float> scores(texts.size(), 0.0F);
    gguf_set_val_str(file, "tokenizer.ggml.model", "llama");
    gguf_set_arr_str(file, "tokenizer.ggml.tokens", texts.data(), texts.size());
    gguf_set_arr_data(file, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
    gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, script.types().data(), script.types().size());
    gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", 1);
    gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", kEnd);
    gguf_set_val_bool(file, "tokenizer.ggml.add_space_prefix", false);
    gguf_set_val_str(file, "tokenizer.chat_template", chat_template.c_str());
}

void write_shape(std::uint32_t width, std::uint32_t vocabulary, gguf_context* file) {
    gguf_set_val_str(file, "general.architecture", "llama");
    gguf_set_val_str(file, "general.name", "scripted");
    gguf_set_val_f32(file, "llama.attention.layer_norm_rms_epsilon", 1e-5F);
    const std::pair<const char*, std::uint32_t> numbers[] = {{"llama.context_length", 16384},
                                                             {"llama.embedding_length", width},
                                                             {"llama.block_count", 1},
                                                             {"llama.feed_forward_length", kFeedForward},
                                                             {"llama.attention.head_count", width / kHeadWidth},
                                                             {"llama.vocab_size", vocabulary}};
    for (const auto& [key, value] : numbers) gguf_set_val_u32(file, key, value);
}

/// A matrix of zeros but for a few places.
struct Matrix {
    std::string name;
    std::uint32_t columns;
    std::uint32_t rows;
    std::map<std::uint32_t, std::pair<std::uint32_t, float>> of_column = {};  ///< row and value
    bool ones = false;
};

std::vector<Matrix> matrices(const Script& script, std::uint32_t width) {
    const auto vocabulary = static_cast<std::uint32_t>(script.tokens().size());
    std::vector<Matrix> all;
    all.push_back({"token_embd.weight", width, vocabulary});
    all.push_back({"output.weight", width, vocabulary});
    for (std::uint32_t token = 0; token < vocabulary; ++token) {
        all[0].of_column[token] = {token, 1.0F};
        all[1].of_column[token] = {static_cast<std::uint32_t>(script.after(static_cast<std::int32_t>(token))), 2.0F};
    }
    for (const char* name : {"output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"}) {
        all.push_back({.name = name, .columns = width, .rows = 1, .ones = true});
    }
    for (const char* name : {"q", "k", "v", "output"})
        all.push_back({fmt::format("blk.0.attn_{}.weight", name), width, width});
    all.push_back({"blk.0.ffn_gate.weight", width, kFeedForward});
    all.push_back({"blk.0.ffn_up.weight", width, kFeedForward});
    all.push_back({"blk.0.ffn_down.weight", kFeedForward, width});
    return all;
}

void write_matrix(const Matrix& matrix, std::ofstream& file) {
    std::vector<std::vector<std::pair<std::uint32_t, float>>> of_row(matrix.rows);
    for (const auto& [column, place] : matrix.of_column) of_row[place.first].emplace_back(column, place.second);
    std::vector<float> row(matrix.columns);
    for (const auto& places : of_row) {
        std::ranges::fill(row, matrix.ones ? 1.0F : 0.0F);
        for (const auto& [column, value] : places) row[column] = value;
        const auto bytes = std::as_bytes(std::span(row));
        file.write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));  // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast)
    }
    constexpr char kZeros[GGUF_DEFAULT_ALIGNMENT] = {};
    const auto over = static_cast<std::size_t>(file.tellp()) % GGUF_DEFAULT_ALIGNMENT;
    if (over != 0) file.write(kZeros, static_cast<std::streamsize>(GGUF_DEFAULT_ALIGNMENT - over));
}

}  // namespace

Result<void> write_scripted(const ScriptedOptions& options) {
    const std::string dialect = scripted_template(options.dialect);
    if (dialect.empty()) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("dialect is '{}'; it must be one of {}", options.dialect, fmt::join(scripted_dialects(), ", ")),
            "dialect");
    }
    boost::system::error_code broken;
    const json::value scripts = json::parse(options.scripts, broken);
    if (broken || !scripts.is_object() || scripts.get_object().empty()) {
        return fail(ErrorCode::kInvalidArgument, "scripts must be a JSON object: {\"key\": [\"piece\", ...]}",
                    "scripts");
    }
    Script script(options.dialect);
    for (const auto& [key, pieces] : scripts.get_object()) {
        if (auto added = script.add_script(std::string(key), pieces); !added) return added;
    }
    const auto vocabulary = static_cast<std::uint32_t>(script.tokens().size());
    const std::uint32_t width = (vocabulary + kHeadWidth - 1) / kHeadWidth * kHeadWidth;
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> metadata(gguf_init_empty(), gguf_free);
    write_shape(width, vocabulary, metadata.get());
    write_tokens(script, with_keys(dialect, script), metadata.get());
    const std::vector<Matrix> all = matrices(script, width);
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> descriptors(
        ggml_init({.mem_size = all.size() * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}),
        ggml_free);
    for (const Matrix& matrix : all) {
        ggml_tensor* tensor = matrix.rows == 1
                                  ? ggml_new_tensor_1d(descriptors.get(), GGML_TYPE_F32, matrix.columns)
                                  : ggml_new_tensor_2d(descriptors.get(), GGML_TYPE_F32, matrix.columns, matrix.rows);
        ggml_set_name(tensor, matrix.name.c_str());
        gguf_add_tensor(metadata.get(), tensor);
    }
    return write_gguf(options.output, metadata.get(), [&](std::ofstream& file) {
        for (const Matrix& matrix : all) write_matrix(matrix, file);
    });
}

}  // namespace sutazai::synth
