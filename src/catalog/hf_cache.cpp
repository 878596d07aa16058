#include "catalog/hf_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/small_file.h"
#include "catalog/model_names.h"
#include "catalog/ollama_name.h"
#include "catalog/projectors.h"

namespace sutazai::catalog {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kFolderPrefix = "models--";
constexpr std::string_view kHost = "hf.co/";
constexpr std::size_t kMostRevisionBytes = 256;
constexpr int kMostFolders = 4;  // that a file of a snapshot lies in

std::string base_name(std::string_view path) {
    return std::string(path.substr(path.rfind('/') + 1));
}

bool is_beside_a_model(std::string_view path) {
    const std::string small = in_small_letters(base_name(path));
    constexpr std::string_view kMarks[] = {"mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-"};
    return std::ranges::any_of(kMarks, [&](std::string_view mark) { return small.find(mark) != std::string::npos; });
}

/// Without ".gguf" and the number of the part.
std::string stem_of(std::string_view path) {
    const std::string file = base_name(path);
    if (const auto part = parse_part_name(file)) return part->model;
    return file.substr(0, file.rfind('.'));
}

/// Empty when the name ends in no quantisation.
std::string quantization_of(std::string_view stem) {
    const auto at = stem.find_last_of("-.");
    if (at == std::string_view::npos) return {};
    std::string tag(stem.substr(at + 1));
    for (char& c : tag) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    const bool is_word =
        std::ranges::all_of(tag, [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; });
    // Q4_K_M, IQ2_XS, F16, BF16, MXFP4, TQ1_0; the end of "Qwen3-8B" is a size.
    constexpr std::string_view kBegins[] = {"Q", "IQ", "F", "BF", "MXFP", "NVFP", "TQ"};
    const bool is_type = std::ranges::any_of(kBegins, [&](std::string_view begin) {
        return tag.starts_with(begin) && tag.size() > begin.size() && tag[begin.size()] >= '0' &&
               tag[begin.size()] <= '9';
    });
    return is_word && is_type ? tag : std::string();
}

/// Files of a snapshot below `folder`, as paths within it.
void list_files(const std::string& folder, const std::string& within, int depth, const FolderVisitor& visit,
                std::vector<std::string>& files) {
    if (visit) visit(folder);
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (name.starts_with('.')) continue;
        const std::string path = within.empty() ? name : fmt::format("{}/{}", within, name);
        std::error_code no_type;
        if (entry->is_directory(no_type) && !entry->is_symlink(no_type)) {
            if (depth < kMostFolders) list_files(fmt::format("{}/{}", folder, name), path, depth + 1, visit, files);
        } else if (is_gguf_extension(entry->path().extension().string())) {
            files.push_back(path);
        }
    }
}

std::vector<std::string> names_in(const std::string& folder, const FolderVisitor& visit) {
    if (visit) visit(folder);
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
        names.push_back(entry->path().filename().string());
    }
    std::ranges::sort(names);
    return names;
}

/// What the weights are known by: the cache calls large files by their SHA-256. Nothing when the file is a link out of
/// the cache.
std::optional<std::string> weights_of(const std::string& root, const std::string& path) {
    std::error_code no_link;
    const fs::path target = fs::read_symlink(path, no_link);
    if (no_link) return path;
    const std::string whole = (fs::path(path).parent_path() / target).lexically_normal().string();
    if (!whole.starts_with(root + "/")) return std::nullopt;
    const auto digits = parse_blob_digest("sha256:" + base_name(whole));
    return digits && model_parts(path).size() == 1 ? "sha256:" + *digits : path;
}

class RepositoryScan {
  public:
    RepositoryScan(std::string root, std::string folder, const FolderVisitor& visit)
        : root_(std::move(root)), folder_(std::move(folder)), visit_(visit) {}

    void run(HfFound& found) {
        std::string repo = base_name(folder_).substr(kFolderPrefix.size());
        if (const auto dashes = repo.find("--"); dashes != std::string::npos) repo.replace(dashes, 2, "/");
        for (const std::string& revision : revisions()) {
            const std::string snapshot = folder_ + "/snapshots/" + revision;
            std::vector<std::string> files;
            list_files(snapshot, "", 1, visit_, files);
            std::vector<std::string> projectors;
            std::ranges::copy_if(files, std::back_inserter(projectors), is_projector_name);
            const auto named = name_hf_files(repo, std::move(files));
            if (named.empty()) continue;
            for (const HfNamed& one : named) add(one, snapshot, projectors, found);
            found.defaults.push_back(hf_default(named).name);
            return;
        }
    }

  private:
    /// Those to look into, the best one first.
    std::vector<std::string> revisions() const {
        std::vector<std::string> all = names_in(folder_ + "/snapshots", visit_);
        if (visit_) visit_(folder_ + "/refs");
        auto main = read_small_file(folder_ + "/refs/main", kMostRevisionBytes);
        if (!main) return all;
        while (!main->empty() && (main->back() == '\n' || main->back() == '\r')) main->pop_back();
        // One of the folder's own names: what the file says is not put into a path.
        const auto current = std::ranges::find(all, *main);
        if (current != all.end()) std::rotate(all.begin(), current, current + 1);
        return all;
    }

    void add(const HfNamed& named, const std::string& snapshot, const std::vector<std::string>& projectors,
             HfFound& found) const {
        const std::string path = snapshot + "/" + named.file;
        if (!is_valid_model_name(named.name)) {
            found.notes.push_back(fmt::format("{} of the Hugging Face cache has a name that no model may have", path));
            return;
        }
        const auto weights = weights_of(root_, path);
        if (!weights) {
            found.notes.push_back(fmt::format("{} is a link out of the Hugging Face cache", path));
            return;
        }
        auto model = look_at_model(named.name, path);
        if (!model) return;
        model->weights = model->engine = *weights;
        // Those of a repository go with all of its models.
        const std::string projector = projector_for(named.file, projectors, true);
        if (!projector.empty() && weights_of(root_, snapshot + "/" + projector)) {
            set_projector(*model, snapshot + "/" + projector);
        }
        model->in_store = true;
        found.models.push_back(std::move(*model));
    }

    std::string root_;
    std::string folder_;
    const FolderVisitor& visit_;
};

}  // namespace

std::vector<HfNamed> name_hf_files(std::string_view repo, std::vector<std::string> files) {
    std::erase_if(files, [](const std::string& path) { return is_beside_a_model(path); });
    for (std::string& path : files) {
        // The parts of a model are one, whichever of them are there.
        const std::string file = base_name(path);
        if (const auto part = parse_part_name(file)) {
            path.replace(path.size() - file.size(), file.size(), part->file_name(1));
        }
    }
    std::ranges::sort(files, [](const std::string& a, const std::string& b) {
        return a.size() != b.size() ? a.size() < b.size() : a < b;
    });
    files.erase(std::ranges::unique(files).begin(), files.end());
    std::vector<HfNamed> out;
    std::set<std::string> taken;
    std::set<std::string_view> named;
    const auto give = [&](std::string tag, const std::string& file) {
        if (!taken.insert(in_small_letters(tag)).second) return false;
        out.push_back({fmt::format("{}{}:{}", kHost, repo, tag), file});
        named.insert(file);
        return true;
    };
    for (const bool by_quantization : {true, false}) {
        for (const std::string& file : files) {
            if (named.contains(file)) continue;
            const std::string stem = stem_of(file);
            const std::string quantization = quantization_of(stem);
            if (by_quantization) {
                if (!quantization.empty()) give(quantization, file);
                continue;
            }
            std::string whole = name_from(file.substr(0, file.size() - base_name(file).size()) + stem);
            if (whole.empty()) whole = "model";
            const std::string own = name_from(stem);
            if ((own.empty() || !give(own, file)) && !give(whole, file)) {
                for (int n = 2; !give(fmt::format("{}-{}", whole, n), file);) ++n;
            }
        }
    }
    return out;
}

const HfNamed& hf_default(const std::vector<HfNamed>& named) {
    for (const std::string_view tag : {":Q4_K_M", ":Q8_0"}) {
        const auto found = std::ranges::find_if(named, [&](const HfNamed& one) { return one.name.ends_with(tag); });
        if (found != named.end()) return *found;
    }
    return named.front();
}

HfFound scan_hf_cache(const std::string& root, const FolderVisitor& visit) {
    HfFound found;
    for (const std::string& name : names_in(root, visit)) {
        if (name.starts_with(kFolderPrefix) && name.size() > kFolderPrefix.size()) {
            RepositoryScan(root, fmt::format("{}/{}", root, name), visit).run(found);
        }
    }
    return found;
}

}  // namespace sutazai::catalog
