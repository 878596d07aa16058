#include "fetch/source.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/model_parts.h"
#include "catalog/model_names.h"

namespace sutazai::fetch {
namespace {

constexpr std::size_t kMostShown = 200;

bool is_gguf(std::string_view path) {
    constexpr std::size_t kExtensionBytes = 5;
    return path.size() > kExtensionBytes && is_gguf_extension(path.substr(path.size() - kExtensionBytes));
}

bool is_file_url(std::string_view text) {
    const bool is_url = text.starts_with("http://") || text.starts_with("https://");
    return is_url && is_gguf(text.substr(0, text.find_first_of("?#")));
}

/// The model's name of a file in a URL: letters, digits, "-", "_" and ".".
std::string name_of_file(const Url& url) {
    std::string file = url.path.substr(url.path.rfind('/') + 1);
    file.resize(file.rfind('.'));
    for (char& c : file) {
        if (c == ':' || c == '/' || c == '%') c = '-';
    }
    return catalog::name_from(file);
}

std::unexpected<Error> refuse(std::string_view text) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is no name of a model; it must be model[:tag], host/namespace/model[:tag], "
                            "hf.co/org/repo[:quantisation], or the URL of a .gguf file",
                            text.substr(0, kMostShown)),
                "model");
}

}  // namespace

Result<Source> parse_source(std::string_view text, std::string_view as) {
    Source out;
    std::optional<catalog::OllamaName> name;
    if (is_file_url(text)) {
        auto url = parse_url(text);
        if (!url) return std::unexpected(Error{url.error().code, url.error().message, "model"});
        if (!is_gguf(url->path)) return refuse(text);  // it was the host's name that ended so
        out.kind = Source::Kind::kFile;
        out.url = std::move(*url);
        name = catalog::parse_ollama_name(name_of_file(out.url));
        if (!name && as.empty()) {
            return fail(ErrorCode::kInvalidArgument,
                        fmt::format("the file's name makes no model name; give it one with --as NAME"), "model");
        }
    } else {
        name = catalog::parse_ollama_name(text);
        if (!name) return refuse(text);
        const std::string host = catalog::in_small_letters(name->host);
        if (host == "hf.co" || host == kHuggingFaceHost) {
            out.kind = Source::Kind::kHuggingFace;
            name->host = "hf.co";  // one name for one thing
        }
        out.has_tag = text.rfind(':') != std::string_view::npos && text.rfind(':') > text.rfind('/');
    }
    if (name) out.name = std::move(*name);
    if (as.empty()) return out;
    const auto given = catalog::parse_ollama_name(as);
    if (!given) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no valid model name", as.substr(0, kMostShown)),
                    "as");
    }
    // Where it comes from is told by its own name.
    if (out.kind != Source::Kind::kFile) {
        return fail(ErrorCode::kInvalidArgument, "only a file from a URL gets another name; `sutazai cp` copies models",
                    "as");
    }
    out.name = *given;
    return out;
}

}  // namespace sutazai::fetch
