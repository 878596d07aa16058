#include "gguf/virtual_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/testing/temporary_folder.h"
#include "gguf/testing/aged_files.h"

namespace sutazai::gguf {
namespace {

class VirtualFileTest : public testing::Test {
  protected:
    std::string put(const std::string& bytes) {
        const std::string path = (folder_.path() / "m.gguf").string();
        std::ofstream(path, std::ios::binary) << bytes;
        return path;
    }
    static std::string all_of(const VirtualFile& file) {
        std::string out(file.size(), '\0');
        EXPECT_EQ(file.read(0, out.data(), out.size()), out.size());
        return out;
    }
    TemporaryFolder folder_;
};

TEST_F(VirtualFileTest, EveryPieceIsThePieceOfTheWhole) {
    std::mt19937 random(7);
    for (const std::string& bytes : aged_files()) {
        const auto file = VirtualFile::translated(put(bytes)).value();
        ASSERT_TRUE(file);
        const std::string whole = all_of(*file);
        for (int round = 0; round < 200; ++round) {
            const std::size_t begin = random() % (whole.size() + 20);
            std::string piece(random() % 200, 'x');
            const auto got = file->read(begin, piece.data(), piece.size());
            ASSERT_TRUE(got);
            piece.resize(*got);
            EXPECT_EQ(piece, begin < whole.size() ? whole.substr(begin, piece.size()) : "");
            EXPECT_TRUE(*got == piece.size() || begin + *got == whole.size());
        }
    }
}

TEST_F(VirtualFileTest, TensorsAreTheBytesOfTheFileBelow) {
    const std::string bytes = aged_files().at(13);  // glmocr: gate and up in one
    std::istringstream in(bytes);
    const Outline before = read_outline(in, bytes.size()).value();
    const auto file = VirtualFile::translated(put(bytes)).value();
    ASSERT_TRUE(file);
    const std::string whole = all_of(*file);
    std::istringstream written(whole);
    const Outline after = read_outline(written, whole.size()).value();
    const auto bytes_of = [](const Outline& outline, const std::string& from, const char* name) {
        const Tensor* tensor = outline.find_tensor(name);
        return tensor == nullptr ? "none" : from.substr(tensor->begin, tensor->bytes);
    };
    EXPECT_EQ(bytes_of(after, whole, "blk.0.ffn_up.weight"),
              bytes_of(before, bytes, "blk.0.ffn_gate.weight") + bytes_of(before, bytes, "blk.0.ffn_up.weight"));
    EXPECT_EQ(bytes_of(after, whole, "blk.0.attn_output.weight"), bytes_of(before, bytes, "blk.0.attn_out.weight"));
    EXPECT_EQ(after.find_tensor("blk.0.ffn_gate.weight"), nullptr);
}

TEST_F(VirtualFileTest, AFileThatBecomesShorterIsAnError) {
    const std::string bytes = aged_files().front();
    const std::string path = put(bytes);
    const auto file = VirtualFile::translated(path).value();
    ASSERT_TRUE(file);
    std::filesystem::resize_file(path, 100);
    std::string out(file->size(), '\0');
    EXPECT_FALSE(file->read(0, out.data(), out.size()));
}

TEST_F(VirtualFileTest, WhatIsNoModelIsLeftToWhoLoadsIt) {
    EXPECT_FALSE(VirtualFile::translated(put("no GGUF file")).value());
    EXPECT_FALSE(VirtualFile::translated((folder_.path() / "missing").string()).value());
}

}  // namespace
}  // namespace sutazai::gguf
