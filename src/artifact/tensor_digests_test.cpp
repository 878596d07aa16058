#include "artifact/tensor_digests.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "artifact/testing/test_blocks.h"
#include "gguf/outline.h"
#include "gguf/testing/aged_files.h"

namespace sutazai::artifact {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

/// Files are remembered once they have been left alone for a while.
void settle() {
    std::this_thread::sleep_for(std::chrono::milliseconds(3100));
}

std::string model(const std::string& note) {
    return gguf::small_file("llama", 1, [&](gguf::Bytes& bytes) { bytes.text_pair("general.name", note); },
                            {{"a.weight", {32, 4}}, {"b.weight", {64}}});
}

TEST(TensorDigests, AreOfEachTensorAloneAndOutliveTheFile) {
    const testing::TempFolder folder;
    const fs::path cache = folder.path() / "cache";
    const std::string one = folder.path() / "one.gguf";
    const std::string tuned = folder.path() / "tuned.gguf";
    std::string changed = model("a longer name, so that all lies elsewhere in the file");
    changed.back() = static_cast<char>(changed.back() ^ 1);
    write(one, model("one"));
    write(tuned, changed);
    const FileStamp stamp = *stamp_of(one);
    EXPECT_FALSE(cached_tensor_digests(cache, one, stamp));
    settle();
    ASSERT_TRUE(keep_tensor_digests(cache, one));
    ASSERT_TRUE(keep_tensor_digests(cache, tuned));
    const auto a = cached_tensor_digests(cache, one, stamp);
    const auto b = cached_tensor_digests(cache, tuned, *stamp_of(tuned));
    ASSERT_TRUE(a && b);
    EXPECT_EQ(a->size(), 2U);
    EXPECT_EQ(a->at("a.weight"), b->at("a.weight"));
    EXPECT_NE(a->at("b.weight"), b->at("b.weight"));

    std::ifstream in(one, std::ios::binary);
    const auto outline = gguf::read_outline(in, stamp.bytes);
    ASSERT_TRUE(outline);
    const gguf::Tensor* tensor = outline->find_tensor("a.weight");
    const std::string bytes = model("one").substr(tensor->begin, tensor->bytes);
    EXPECT_EQ(a->at("a.weight"), sha256(std::as_bytes(std::span(bytes))));

    fs::remove(one);
    EXPECT_TRUE(cached_tensor_digests(cache, one, stamp)) << "an engine may still have what was there";
    FileStamp other = stamp;
    ++other.changed_ns;
    EXPECT_FALSE(cached_tensor_digests(cache, one, other));
}

TEST(TensorDigests, NothingIsKeptOfWhatCannotBeRead) {
    const testing::TempFolder folder;
    const fs::path cache = folder.path() / "cache";
    const std::string path = folder.path() / "m.gguf";
    EXPECT_EQ(keep_tensor_digests(cache, path).error().code, ErrorCode::kNotFound);
    write(path, "no GGUF file");
    EXPECT_EQ(keep_tensor_digests(cache, path).error().code, ErrorCode::kLoadFailed);
    write(path, model("m"));
    EXPECT_EQ(keep_tensor_digests(cache, path, [] { return true; }).error().code, ErrorCode::kCancelled);
    ASSERT_TRUE(keep_tensor_digests(cache, path));
    EXPECT_FALSE(cached_tensor_digests(cache, path, *stamp_of(path)))
        << "written a moment ago: it may change again without a trace";
}

TEST(TensorDigests, ADamagedRecordIsNone) {
    const testing::TempFolder folder;
    const fs::path cache = folder.path() / "cache";
    const std::string path = folder.path() / "m.gguf";
    write(path, model("m"));
    settle();
    ASSERT_TRUE(keep_tensor_digests(cache, path));
    const fs::path record = fs::directory_iterator(cache / "digests")->path();
    std::ifstream in(record, std::ios::binary);
    const std::string good{std::istreambuf_iterator<char>(in), {}};
    for (std::size_t at = 0; at < good.size(); at += 7) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 1);
        write(record, bad);
        EXPECT_FALSE(cached_tensor_digests(cache, path, *stamp_of(path))) << "byte " << at;
        write(record, good.substr(0, at));
        EXPECT_FALSE(cached_tensor_digests(cache, path, *stamp_of(path))) << "cut at " << at;
    }
    write(record, good);
    EXPECT_TRUE(cached_tensor_digests(cache, path, *stamp_of(path)));
}

}  // namespace
}  // namespace sutazai::artifact
