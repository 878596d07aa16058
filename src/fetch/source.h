#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "catalog/ollama_name.h"
#include "fetch/url.h"

namespace sutazai::fetch {

/// What somebody wants to have pulled, by what he wrote.
struct Source {
    enum class Kind : std::uint8_t {
        kRegistry,     ///< "qwen2.5:3b", "host/namespace/model:tag"
        kHuggingFace,  ///< "hf.co/org/repo[:tag]", also huggingface.co
        kFile          ///< "https://host/path/model.gguf"
    };
    Kind kind = Kind::kRegistry;
    catalog::OllamaName name;  ///< that it gets in the store
    bool has_tag = false;      ///< was a tag written
    Url url = {};              ///< of a file
};

inline constexpr std::string_view kHuggingFaceHost = "huggingface.co";

/// `as` is the name that it is to have; empty: its own. kInvalidArgument for what is none of these. Pure.
[[nodiscard]] Result<Source> parse_source(std::string_view text, std::string_view as = {});

}  // namespace sutazai::fetch
