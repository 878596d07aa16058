#pragma once

#include <initializer_list>
#include <string_view>

#include "api/json.h"

/// Fields that are not supported. One that would change the answer is refused by name, never ignored. Pure.
namespace sutazai::api {

/// Refuses each of OpenAI's and its relatives' fields of a generation that is not there yet (tools, logit_bias, ...)
/// unless it asks for nothing, and then every other field that nobody has read. What changes no answer (user, metadata,
/// ...) passes. Call it last.
void refuse_unsupported(FieldReader& fields);

/// For bodies that are no generation: every field that nobody has read and that is not one of those that change
/// nothing.
void refuse_unknown(FieldReader& fields, std::initializer_list<std::string_view> harmless = {});

}  // namespace sutazai::api
