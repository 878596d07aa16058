#pragma once

#include <span>
#include <string_view>

/// The files of the page (web/dist), made into a source by scripts/embed_page.py.
namespace sutazai::http {

struct PageFile {
    std::string_view name;
    std::string_view content_type;
    std::string_view etag;  ///< of its bytes, in quotes
    std::string_view gzip;
    std::size_t bytes;  ///< when it is unpacked
};

[[nodiscard]] std::span<const PageFile> page_files();

}  // namespace sutazai::http
