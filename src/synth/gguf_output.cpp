#include "synth/gguf_output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>
#include <vector>

namespace sutazai::synth {

Result<void> write_gguf(const std::filesystem::path& output, const gguf_context* metadata,
                        const std::function<void(std::ofstream&)>& write_data) {
    auto partial = output;
    partial += fmt::format(".partial-{}", ::getpid());
    std::ofstream file(partial, std::ios::binary | std::ios::trunc);
    std::vector<char> head(gguf_get_meta_size(metadata));
    gguf_get_meta_data(metadata, head.data());
    file.write(head.data(), static_cast<std::streamsize>(head.size()));
    write_data(file);
    file.close();
    std::error_code error;
    if (file) std::filesystem::rename(partial, output, error);
    if (!file || error) {
        std::filesystem::remove(partial, error);
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} could not be written; is its folder there, and not full?", output.string()),
                    "output");
    }
    return {};
}

}  // namespace sutazai::synth
