// A GGUF file in a form of Ollama's own, after its translation: an error that says something, or a head whose every
// byte lies in the file, and that is a proper one when it is written.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <sstream>
#include <string>

#include "gguf/outline.h"
#include "gguf/translate.h"
#include "gguf/virtual_file.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    std::istringstream in(bytes);
    auto outline = sutazai::gguf::read_outline(in, size);
    if (!outline) return 0;
    const auto translation = sutazai::gguf::translate(*outline, in);
    if (!translation) {
        REQUIRE(!translation.error().message.empty());
        return 0;
    }
    if (!*translation) return 0;
    for (const auto& tensor : outline->tensors) {
        for (const auto& piece : tensor.all_pieces()) REQUIRE(piece.end() && *piece.end() <= size);
    }
    const int memory = memfd_create("fuzz", MFD_CLOEXEC);
    REQUIRE(memory >= 0 && write(memory, bytes.data(), size) == static_cast<ssize_t>(size));
    {
        const auto file = sutazai::gguf::VirtualFile::over("/proc/self/fd/" + std::to_string(memory), *outline);
        REQUIRE(file.has_value());
        std::string written(file->size(), '\0');
        REQUIRE(file->read(0, written.data(), written.size()) == written.size());
        std::istringstream again(written);
        REQUIRE(sutazai::gguf::read_outline(again, written.size()).has_value());
    }
    close(memory);
    return 0;
}
