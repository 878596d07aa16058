#include "artifact/weights_digest.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, Bytes bytes) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// Files are cached once they have been left alone for a while.
void settle() {
    std::this_thread::sleep_for(std::chrono::milliseconds(3100));
}

TEST(WeightsDigest, IsOfTheContentAlone) {
    const testing::TempFolder folder;
    const auto bytes = testing::random_bytes((8 << 20) + 1000, 1);
    write(folder.path() / "a.gguf", bytes);
    write(folder.path() / "b.gguf", bytes);
    const auto a = weights_digest(folder.path() / "cache", folder.path() / "a.gguf");
    ASSERT_TRUE(a) << a.error().message;
    EXPECT_EQ(*a, weights_digest(folder.path() / "cache", folder.path() / "b.gguf").value());

    // By what docs/artifacts.md says.
    Sha256 whole;
    whole.add(std::string_view("sutazai weights 1\n"));
    whole.add_u64(bytes.size());
    whole.add(Bytes(sha256(Bytes(bytes).first(8 << 20))));
    whole.add(Bytes(sha256(Bytes(bytes).subspan(8 << 20))));
    EXPECT_EQ(*a, whole.finish());

    for (const std::size_t at : {std::size_t{0}, std::size_t{4 << 20}, bytes.size() - 1}) {
        auto other = bytes;
        other[at] ^= std::byte{1};
        write(folder.path() / "a.gguf", other);
        EXPECT_NE(*a, weights_digest(folder.path() / "cache", folder.path() / "a.gguf").value()) << "byte " << at;
    }
    EXPECT_FALSE(cached_weights_digest(folder.path() / "cache", folder.path() / "a.gguf"))
        << "written a moment ago: it may change again without a trace";
}

TEST(WeightsDigest, IsOverAllFilesOfASplitModel) {
    const testing::TempFolder folder;
    const fs::path cache = folder.path() / "cache";
    const fs::path first = folder.path() / "m-00001-of-00002.gguf";
    const fs::path second = folder.path() / "m-00002-of-00002.gguf";
    write(first, testing::random_bytes(1000, 1));
    write(folder.path() / "alone.gguf", testing::random_bytes(1000, 1));
    const auto incomplete = weights_digest(cache, first);
    ASSERT_FALSE(incomplete);
    EXPECT_NE(incomplete.error().message.find("m-00002-of-00002.gguf"), std::string::npos);
    write(second, testing::random_bytes(1000, 2));
    const auto whole = weights_digest(cache, first);
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_NE(*whole, weights_digest(cache, folder.path() / "alone.gguf").value());
    write(second, testing::random_bytes(1000, 3));
    EXPECT_NE(*whole, weights_digest(cache, first).value()) << "another second part is another model";
    write(second, testing::random_bytes(1000, 2));
    EXPECT_EQ(*whole, weights_digest(cache, first).value());
}

TEST(WeightsDigest, IsCachedUntilTheFileChanges) {
    const testing::TempFolder folder;
    const fs::path cache = folder.path() / "artifacts";
    const fs::path model = folder.path() / "model.gguf";
    write(model, testing::random_bytes(1000, 1));
    settle();
    EXPECT_FALSE(cached_weights_digest(cache, model));
    const auto first = weights_digest(cache, model);
    ASSERT_TRUE(first);
    EXPECT_EQ(cached_weights_digest(cache, model), *first);
    fs::create_symlink(model, folder.path() / "link.gguf");
    EXPECT_EQ(cached_weights_digest(cache, folder.path() / "link.gguf"), *first) << "one file, two names";

    // The same size and the same mtime; only ctime tells.
    struct stat before {};
    ASSERT_EQ(stat(model.c_str(), &before), 0);
    write(model, testing::random_bytes(1000, 2));
    const timespec times[2] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(utimensat(AT_FDCWD, model.c_str(), times, 0), 0);
    EXPECT_FALSE(cached_weights_digest(cache, model));
    EXPECT_NE(weights_digest(cache, model).value(), *first);
}

TEST(WeightsDigest, ADamagedCacheIsNotBelieved) {
    const testing::TempFolder folder;
    const fs::path cache = folder.path() / "artifacts";
    const fs::path model = folder.path() / "model.gguf";
    write(model, testing::random_bytes(1000, 1));
    settle();
    const auto digest = weights_digest(cache, model).value();
    const fs::path record = fs::directory_iterator(cache / "digests")->path();
    std::string text;
    std::getline(std::ifstream(record), text, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string damaged = text;
        damaged[i] = static_cast<char>(damaged[i] ^ 1);
        write(record, std::as_bytes(std::span(damaged)));
        ASSERT_FALSE(cached_weights_digest(cache, model)) << "byte " << i;
    }
    EXPECT_EQ(weights_digest(cache, model).value(), digest) << "computed again, and kept again";
    EXPECT_EQ(cached_weights_digest(cache, model), digest);
}

TEST(WeightsDigest, CanBeCancelledAndSaysWhatIsWrong) {
    const testing::TempFolder folder;
    const fs::path model = folder.path() / "model.gguf";
    write(model, testing::random_bytes(1000, 1));
    EXPECT_EQ(weights_digest(folder.path(), model, [] { return true; }).error().code, ErrorCode::kCancelled);
    EXPECT_EQ(weights_digest(folder.path(), folder.path() / "none").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(weights_digest(folder.path(), folder.path()).error().code, ErrorCode::kLoadFailed);
    EXPECT_TRUE(weights_digest("/proc/no/such/place", model)) << "nowhere to keep it is no error";
}

}  // namespace
}  // namespace sutazai::artifact
