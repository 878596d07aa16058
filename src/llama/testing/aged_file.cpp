#include "llama/testing/aged_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "gguf/byte_reader.h"
#include "gguf/virtual_file.h"

namespace sutazai::llama {

void write_aged(const std::string& path, const std::string& aged, const Ageing& how) {
    auto file = gguf::open_model_file(path);
    ASSERT_TRUE(file) << file.error().message;
    auto outline = gguf::read_outline(file->in, file->size);
    ASSERT_TRUE(outline) << outline.error().message;
    gguf::Draft draft(*outline, file->in);
    how(draft, *outline);
    const auto other = gguf::VirtualFile::over(path, *outline);
    ASSERT_TRUE(other) << other.error().message;
    std::string bytes(other->size(), '\0');
    ASSERT_EQ(other->read(0, bytes.data(), bytes.size()), bytes.size());
    std::ofstream(aged, std::ios::binary) << bytes;
}

void add_tensor(gguf::Outline& outline, const std::string& name) {
    gguf::Tensor more = outline.tensors.front();
    more.name = name;
    outline.tensors.push_back(more);
}

}  // namespace sutazai::llama
