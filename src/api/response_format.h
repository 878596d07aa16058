#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "api/json.h"
#include "base/generation.h"

/// What the text must look like: OpenAI's `response_format` and llama.cpp's `grammar`. Pure.
namespace sutazai::api {

inline constexpr std::size_t kMaxGrammarBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxSchemaBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxSchemaValues = 4096;     ///< of every kind, nested ones too
inline constexpr std::size_t kMaxSchemaProperties = 256;  ///< of one object
inline constexpr std::size_t kMaxPatternBytes = 512;

/// Reads `response_format` ({"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema":
/// {"schema": {...}}}) and `grammar` (GBNF). Both together are refused, and so are fields that the type does not have
/// and what is too large to be compiled safely. A schema is always followed to the letter, whatever `strict` says. How
/// deep a schema nests is bounded by the body's own limit, kMaxJsonDepth.
void read_response_format(FieldReader& fields, GenerationRequest& out);

/// `grammar` alone.
void read_grammar(FieldReader& fields, GenerationRequest& out);

/// A JSON Schema as the value of the field `name`, with the limits above, as text.
void read_schema(FieldReader& fields, std::string_view name, const boost::json::value& schema, std::string& out);

/// The same, but for the question whether any text meets it.
void read_schema_text(FieldReader& fields, std::string_view name, const boost::json::value& schema, std::string& out);

}  // namespace sutazai::api
