#include "api/image_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "api/unsupported.h"

namespace sutazai::api {

namespace json = boost::json;

void read_base64_image(FieldReader& fields, std::string_view name, std::string_view base64, ChatMessage& out) {
    if (fields.failed()) return;
    auto bytes = from_base64(base64);
    if (!bytes) return fields.refuse(name, "is no base64");
    auto image = make_image(std::move(*bytes));
    if (!image) return fields.refuse(name, image.error().message);
    out.content.push_back({.image = std::move(*image)});
}

void read_image_url(FieldReader& fields, std::string_view name, std::string_view url, ChatMessage& out) {
    if (!url.starts_with("data:")) {
        return fields.refuse(name, "must be a data URL (\"data:image/png;base64,...\"): no images are fetched");
    }
    const std::size_t comma = url.find(',');
    if (comma == std::string_view::npos || !url.substr(0, comma).ends_with(";base64")) {
        return fields.refuse(name, "must be a data URL with base64 in it (\"data:image/png;base64,...\")");
    }
    read_base64_image(fields, name, url.substr(comma + 1), out);
}

void read_image_url_field(FieldReader& part, ChatMessage& out) {
    const json::value* value = part.find("image_url");
    if (value == nullptr) return part.refuse("image_url", "is missing");
    if (const auto* url = value->if_string()) return read_image_url(part, "image_url", *url, out);
    if (!value->is_object()) {
        return part.refuse("image_url", fmt::format("must be a URL or an object with one (got {})", kind_of(*value)));
    }
    FieldReader fields(value->get_object(), part.error(), part.path_of("image_url."));
    std::string detail = "auto";
    fields.string("detail", detail);
    if (detail != "auto" && detail != "low" && detail != "high" && detail != "original") {
        fields.refuse("detail", "must be auto, low, high or original");
    }
    const json::value* url = fields.find("url");
    if (url == nullptr) return fields.refuse("url", "is missing");
    if (!url->is_string()) return fields.refuse("url", fmt::format("must be a string (got {})", kind_of(*url)));
    read_image_url(fields, "url", url->get_string(), out);
    refuse_unknown(fields);
}

void read_image_list(FieldReader& fields, ChatMessage& out) {
    const json::value* value = fields.find("images");
    if (value == nullptr) return;
    if (!value->is_array()) {
        return fields.refuse("images", fmt::format("must be a list of base64 texts (got {})", kind_of(*value)));
    }
    const json::array& list = value->get_array();
    if (list.size() > kMostImages) {
        return fields.refuse("images", fmt::format("must hold at most {} images (got {})", kMostImages, list.size()));
    }
    ChatMessage images;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const std::string place = fmt::format("images[{}]", i);
        if (!list[i].is_string()) {
            return fields.refuse(place, fmt::format("must be base64 text (got {})", kind_of(list[i])));
        }
        const std::string_view text = list[i].get_string();
        if (text.starts_with("data:")) {
            read_image_url(fields, place, text, images);
        } else {
            read_base64_image(fields, place, text, images);
        }
    }
    out.content.insert(out.content.begin(), std::move_iterator(images.content.begin()),
                       std::move_iterator(images.content.end()));
}

std::string wrong_with_images(std::span<const ChatMessage> messages) {
    std::size_t n = 0;
    std::size_t bytes = 0;
    for (const ChatMessage& message : messages) {
        for (const ContentPart& part : message.content) {
            if (part.image == nullptr) continue;
            if (message.role != Role::kUser && message.role != Role::kTool) {
                return fmt::format("hold an image of the {}; only the user and tools may send one",
                                   to_string(message.role));
            }
            ++n;
            bytes += part.image->bytes.size();
        }
    }
    if (n > kMostImages) return fmt::format("hold {} images; at most {} are taken", n, kMostImages);
    if (bytes <= kMostImageBytesOfRequest) return {};
    return fmt::format("hold images of {} bytes; at most {} are taken", bytes, kMostImageBytesOfRequest);
}

void check_images(FieldReader& fields, std::string_view name, const Chat& chat) {
    if (fields.failed()) return;
    const std::string wrong = wrong_with_images(chat.messages);
    if (!wrong.empty()) fields.refuse(name, wrong);
}

}  // namespace sutazai::api
