#include "api/ollama_progress.h"

#include <optional>
#include <utility>

#include "api/json.h"
#include "api/ollama.h"
#include "api/ollama_lines.h"
#include "api/unsupported.h"
#include "base/json_text.h"

namespace sutazai::api::ollama {

namespace {

/// Of the routes whose body names a model and little else; `read` reads the rest.
template <typename Body, typename Read>
Result<Body> parse_named(std::string_view body, Read read) {
    const auto object = parse_object(body);
    if (!object) return std::unexpected(object.error());
    std::optional<Error> error;
    FieldReader fields(*object, error);
    Body out;
    read(fields, out);
    refuse_unknown(fields);
    if (error) return std::unexpected(std::move(*error));
    return out;
}

void read_required(FieldReader& fields, const char* name, std::string& out) {
    fields.string(name, out);
    if (out.empty()) fields.refuse(name, "is missing");
}

}  // namespace

void append_progress(std::string& out, const WorkProgress& progress) {
    out += R"({"status":)";
    append_quoted(out, progress.status);
    if (!progress.digest.empty()) {
        out += R"(,"digest":)";
        append_quoted(out, progress.digest);
    }
    if (progress.total > 0) out += R"(,"total":)" + std::to_string(progress.total);
    if (progress.completed > 0) out += R"(,"completed":)" + std::to_string(progress.completed);
    out += "}\n";
}

void append_success(std::string& out) {
    out += kSuccess;
    out += '\n';
}

void append_error(std::string& out, const Error& error) {
    out += encode_error(error);
    out += '\n';
}

Result<TransferBody> parse_transfer(std::string_view body) {
    return parse_named<TransferBody>(body, [](FieldReader& fields, TransferBody& out) {
        read_model_name(fields, out.model);
        fields.boolean("stream", out.stream);
        fields.boolean("insecure", out.insecure);
        // Of old versions, which sent them to registries.
        for (const char* name : {"username", "password"}) {
            if (!is_absent(fields.find_unsupported(name))) fields.refuse(name, "is not supported");
        }
    });
}

Result<CopyBody> parse_copy(std::string_view body) {
    return parse_named<CopyBody>(body, [](FieldReader& fields, CopyBody& out) {
        read_required(fields, "source", out.source);
        read_required(fields, "destination", out.destination);
    });
}

Result<std::string> parse_delete(std::string_view body) {
    return parse_named<std::string>(body, [](FieldReader& fields, std::string& out) { read_model_name(fields, out); });
}

}  // namespace sutazai::api::ollama
