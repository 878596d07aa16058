#pragma once

#include <span>
#include <string>
#include <string_view>

#include "api/json.h"
#include "base/generation.h"

/// Images in requests of any family. Pure. What is wrong with one is told with the name of its field.
namespace sutazai::api {

/// An image as base64 text, as a field of that name holds it; it is put into `out` behind what is there.
void read_base64_image(FieldReader& fields, std::string_view name, std::string_view base64, ChatMessage& out);

/// The same of a URL: "data:image/png;base64,...". Others are refused: this server fetches nothing for a request.
void read_image_url(FieldReader& fields, std::string_view name, std::string_view url, ChatMessage& out);

/// OpenAI's `image_url` of a content part: a URL, or an object with `url` and `detail`, which changes nothing here.
void read_image_url_field(FieldReader& part, ChatMessage& out);

/// `images`: Ollama's list of base64 texts, in front of what the message says.
void read_image_list(FieldReader& fields, ChatMessage& out);

/// What is wrong with the images of a chat taken together, as a clause; empty: nothing. There is a limit to their
/// number and to their bytes, and only the user and tools may send one.
[[nodiscard]] std::string wrong_with_images(std::span<const ChatMessage> messages);

/// The same, told as an error of the field that holds them. To be called when all is read.
void check_images(FieldReader& fields, std::string_view name, const Chat& chat);

}  // namespace sutazai::api
