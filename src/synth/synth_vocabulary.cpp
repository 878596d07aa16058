#include "synth/synth_vocabulary.h"

#include <fmt/format.h>
#include <gguf.h>

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <string_view>

namespace sutazai::synth {
namespace {

constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// llama.cpp's token types.
constexpr std::int32_t kNormal = 1;
constexpr std::int32_t kControl = 3;

/// One token each, with the space before it.
constexpr std::string_view kWords =
    "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but "
    "not "
    "what all were we when your can said there use an each which she do how their if will up other about out many then "
    "them these so some her would make like him into time has look two more write go see number no way could people my "
    "than first water been call who oil its now find long down day did get come made may part over new sound take only "
    "little work know place year live me back give most very after thing our just name good sentence man think say "
    "great where help through much before line right too mean old any same tell boy follow came want show also around "
    "form three small set put end does another well large must big even such because turn here why ask went men read "
    "need land different home us move try kind hand picture again change off play spell air away animal house point "
    "page letter mother answer found study still learn should world";

/// Never merged, so each is several tokens. No two share a byte after the first, so that the byte before tells each.
constexpr std::array<std::string_view, 6> kSplitCharacters = {
    "\xC3\xA9", "\xC3\xBC", "\xE2\x82\xAC", "\xE6\x97\xA5", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80",
};

std::string utf8(std::uint32_t code) {
    if (code < 0x80) return {static_cast<char>(code)};
    return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

/// GPT-2's byte alphabet: printable bytes stand for themselves, the others for the code points from 256 on.
std::array<std::string, 256> byte_alphabet() {
    std::array<std::string, 256> alphabet;
    std::uint32_t next = 256;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        alphabet[byte] = utf8(printable ? byte : next++);
    }
    return alphabet;
}

/// Byte-level BPE in which every word of kWords is one token, reached by merging it letter by letter.
class BuiltinVocabulary {
  public:
    BuiltinVocabulary() {
        for (const auto& symbol : byte_alphabet()) add(symbol, {Speech::Kind::kSilent});
        for (const char mark : {'.', ',', '?', '\n'}) speech_[static_cast<unsigned char>(mark)] = {Speech::Kind::kFree};
        for (std::size_t begin = 0; begin < kWords.size();) {
            const std::size_t end = std::min(kWords.find(' ', begin), kWords.size());
            add_word(kWords.substr(begin, end - begin));
            begin = end + 1;
        }
        for (const auto character : kSplitCharacters) add_split(character);
        for (const char* mark : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
            add(mark, {Speech::Kind::kSilent});
            types_.back() = kControl;
        }
        speech_.back() = {Speech::Kind::kFree};  // an answer may end
    }

    SynthVocabulary write(gguf_context* file) const {
        const auto strings = [file](const char* key, const std::vector<std::string>& values) {
            std::vector<const char*> pointers;
            pointers.reserve(values.size());
            for (const auto& value : values) pointers.push_back(value.c_str());
            gguf_set_arr_str(file, key, pointers.data(), pointers.size());
        };
        gguf_set_val_str(file, "tokenizer.ggml.model", "gpt2");
        gguf_set_val_str(file, "tokenizer.ggml.pre", "qwen2");
        strings("tokenizer.ggml.tokens", tokens_);
        gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types_.data(), types_.size());
        strings("tokenizer.ggml.merges", merges_);
        const auto end = static_cast<std::uint32_t>(tokens_.size() - 1);
        gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", end);
        gguf_set_val_u32(file, "tokenizer.ggml.padding_token_id", end - 2);
        gguf_set_val_u32(file, "tokenizer.ggml.bos_token_id", end - 2);
        gguf_set_val_bool(file, "tokenizer.ggml.add_bos_token", false);
        return {static_cast<std::uint32_t>(tokens_.size()), speech_};
    }

  private:
    std::int32_t add(const std::string& token, Speech speech) {
        tokens_.push_back(token);
        types_.push_back(kNormal);
        speech_.push_back(speech);
        return static_cast<std::int32_t>(tokens_.size() - 1);
    }

    void add_word(std::string_view word) {
        std::string merged = byte_alphabet()[' '];
        std::int32_t id = ' ';
        for (const char letter : word) {
            const auto [known, is_new] = known_.try_emplace(merged + letter, 0);
            if (is_new) {
                merges_.push_back(fmt::format("{} {}", merged, letter));
                known->second = add(known->first, {Speech::Kind::kSilent});
            }
            merged += letter;
            id = known->second;
        }
        speech_[static_cast<std::size_t>(id)] = {Speech::Kind::kFree};
    }

    void add_split(std::string_view character) {
        for (std::size_t i = 0; i < character.size(); ++i) {
            const auto byte = static_cast<unsigned char>(character[i]);
            if (i == 0) {
                speech_[byte] = {Speech::Kind::kFree};
            } else {
                speech_[byte] = {Speech::Kind::kAfter, static_cast<unsigned char>(character[i - 1])};
            }
        }
    }

    std::vector<std::string> tokens_;
    std::vector<std::int32_t> types_;
    std::vector<std::string> merges_;
    std::vector<Speech> speech_;
    std::map<std::string, std::int32_t> known_;
};

std::filesystem::path vocabulary_path(const std::string& vocabulary) {
    if (vocabulary.find('/') != std::string::npos || vocabulary.ends_with(".gguf")) return vocabulary;
    return std::filesystem::path(SUTAZAI_VOCABULARY_DIR) / fmt::format("ggml-vocab-{}.gguf", vocabulary);
}

Result<SynthVocabulary> copy_vocabulary(const std::filesystem::path& path, gguf_context* file) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("There is no vocabulary at {}; give the path of a GGUF file", path.string()),
                    "vocabulary");
    }
    const std::unique_ptr<gguf_context, decltype(&gguf_free)> source(
        gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}), gguf_free);
    if (!source)
        return fail(ErrorCode::kInvalidArgument, fmt::format("{} is no GGUF file", path.string()), "vocabulary");
    std::vector<std::string> others;
    for (std::int64_t key = 0; key < gguf_get_n_kv(source.get()); ++key) {
        const std::string name = gguf_get_key(source.get(), key);
        if (!name.starts_with("tokenizer.")) others.push_back(name);
    }
    for (const auto& name : others) gguf_remove_key(source.get(), name.c_str());
    const std::int64_t tokens = gguf_find_key(source.get(), "tokenizer.ggml.tokens");
    if (tokens < 0 || gguf_get_kv_type(source.get(), tokens) != GGUF_TYPE_ARRAY ||
        gguf_get_arr_type(source.get(), tokens) != GGUF_TYPE_STRING) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("{} holds no vocabulary", path.string()), "vocabulary");
    }
    gguf_set_kv(file, source.get());
    // StarCoder's names of these llama.cpp does not know.
    for (std::size_t id = 0; id < gguf_get_arr_n(source.get(), tokens); ++id) {
        const std::string_view name = gguf_get_arr_str(source.get(), tokens, id);
        if (name == "<repo_name>")
            gguf_set_val_u32(file, "tokenizer.ggml.fim_rep_token_id", static_cast<std::uint32_t>(id));
        if (name == "<file_sep>")
            gguf_set_val_u32(file, "tokenizer.ggml.fim_sep_token_id", static_cast<std::uint32_t>(id));
    }
    const std::size_t size = gguf_get_arr_n(source.get(), tokens);
    for (std::size_t id = 0; id < size; ++id) {
        if (std::string_view(gguf_get_arr_str(source.get(), tokens, id)) == "<|im_end|>") {
            gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(id));
        }
    }
    return SynthVocabulary{static_cast<std::uint32_t>(size), {}};
}

}  // namespace

Result<SynthVocabulary> write_vocabulary(const std::string& vocabulary, gguf_context* file) {
    Result<SynthVocabulary> written =
        vocabulary == "builtin" ? BuiltinVocabulary().write(file) : copy_vocabulary(vocabulary_path(vocabulary), file);
    if (written) gguf_set_val_str(file, "tokenizer.chat_template", kChatTemplate);
    return written;
}

}  // namespace sutazai::synth
