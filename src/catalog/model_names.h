#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

/// Which model name a file gets. Pure.
namespace sutazai::catalog {

/// One to 200 characters of [A-Za-z0-9._:/-], starting with a letter, digit or underscore, without "..".
[[nodiscard]] bool is_valid_model_name(std::string_view name);

/// A model as the files of a folder make it up.
struct NamedFile {
    std::string name;  ///< valid, and no other's
    std::string file;  ///< the first part's name of a split model, whether it is there or not
    std::string note;  ///< why it is not called as its file is; empty when it is
};

/// `files`: names of files, in any order; those that do not end in ".gguf" (in any case) or begin with "." are left
/// out. The rule stands at Catalog. The result is in the order of `file`.
[[nodiscard]] std::vector<NamedFile> name_files(const std::vector<std::string>& files);

/// What a name becomes where no name may have all of its characters; empty when nothing is left.
[[nodiscard]] std::string name_from(std::string_view text);

}  // namespace sutazai::catalog
