#include "artifact/transfer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "artifact/store.h"
#include "artifact/tar.h"
#include "artifact/testing/test_blocks.h"

namespace sutazai::artifact {
namespace {

namespace fs = std::filesystem;
using testing::at;
using testing::kNow;

std::vector<std::byte> read_all(const fs::path& path) {
    std::vector<std::byte> bytes(fs::file_size(path));
    std::ifstream(path, std::ios::binary)
        .read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}
void write_all(const fs::path& path, Bytes bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

class TransferTest : public ::testing::Test {
  protected:
    static std::unique_ptr<ArtifactStore> open(const fs::path& folder, const Fingerprint& fingerprint) {
        StoreOptions options;
        options.folder = folder;
        options.reserve_bytes = 0;
        return std::move(*ArtifactStore::open(options, fingerprint));
    }
    void fill(const Fingerprint& fingerprint, int blocks, std::size_t size) const {
        const auto store = open(from_, fingerprint);
        for (int i = 0; i < blocks; ++i) {
            const auto payload =
                testing::random_bytes(size + static_cast<std::size_t>(i), static_cast<std::uint64_t>(i));
            EXPECT_TRUE(store->put(testing::single(fingerprint, i), payload, at(kNow)));
        }
    }
    Result<TransferReport> import(const fs::path& file) const { return import_artifacts(file, to_, {}, at(kNow + 50)); }
    std::size_t files_in_target() const {
        std::size_t n = 0;
        if (!fs::exists(to_)) return 0;
        for (const auto& entry : fs::recursive_directory_iterator(to_)) n += entry.path().extension() == ".kv" ? 1 : 0;
        return n;
    }

    testing::TempFolder folder_;
    fs::path from_ = folder_.path() / "from";
    fs::path to_ = folder_.path() / "to";
    fs::path file_ = folder_.path() / "artifacts.tar";
    Fingerprint one_{testing::parts_of()};
    Fingerprint two_{testing::parts_of("llama")};
};

TEST_F(TransferTest, ArtifactsTravel) {
    fill(one_, 5, 10'000);
    fill(two_, 3, 700);
    const auto out = export_artifacts(from_, {}, file_);
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(out->artifacts, 8U);
    EXPECT_EQ(out->skipped, 0U);
    EXPECT_EQ(out->bytes, fs::file_size(file_));
    EXPECT_EQ(out->fingerprints.size(), 2U);
    EXPECT_EQ(fs::status(file_).permissions() & fs::perms(077), fs::perms::none) << "it holds prompts";

    const auto in = import(file_);
    ASSERT_TRUE(in) << in.error().message;
    EXPECT_EQ(in->artifacts, 8U);
    EXPECT_EQ(in->added, 8U);
    const auto store = open(to_, one_);
    for (int i = 0; i < 5; ++i) {
        const auto block = store->get(testing::single(one_, i).hash, at(kNow + 60));
        ASSERT_TRUE(block) << block.error().message;
        EXPECT_TRUE(std::ranges::equal(block->payload, testing::random_bytes(10'000 + static_cast<std::size_t>(i),
                                                                             static_cast<std::uint64_t>(i))));
    }
    EXPECT_EQ(import(file_)->added, 0U) << "again: they are all there";
    EXPECT_EQ(list_folder(to_).size(), 2U);
}

TEST_F(TransferTest, AnyTarCanReadIt) {
    fill(one_, 2, 1000);
    ASSERT_TRUE(export_artifacts(from_, {}, file_));
    const fs::path out = folder_.path() / "unpacked";
    fs::create_directories(out);
    ASSERT_EQ(std::system(("tar xf " + file_.string() + " -C " + out.string()).c_str()), 0);
    EXPECT_EQ(read_all(out / one_.id() / "manifest.txt"), read_all(from_ / one_.id() / "manifest.txt"));
    const fs::path block = block_path(one_.id(), testing::single(one_, 1).hash);
    EXPECT_EQ(read_all(out / block), read_all(from_ / block));
}

TEST_F(TransferTest, OnlyWhatIsWanted) {
    fill(one_, 2, 1000);
    fill(two_, 3, 1000);
    const auto out = export_artifacts(
        from_, [&](const Fingerprint& fingerprint) { return fingerprint == two_; }, file_);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->artifacts, 3U);
    EXPECT_EQ(out->fingerprints, std::vector<std::string>{two_.id()});
    const auto inside = exported_fingerprints(file_);
    ASSERT_TRUE(inside);
    ASSERT_EQ(inside->size(), 1U);
    EXPECT_EQ(inside->front(), two_);
    EXPECT_EQ(export_artifacts(
                  from_, [](const Fingerprint&) { return false; }, file_)
                  .error()
                  .code,
              ErrorCode::kNotFound);
    EXPECT_EQ(export_artifacts(folder_.path() / "none", {}, file_).error().code, ErrorCode::kNotFound);
}

TEST_F(TransferTest, AnotherModelIsRefusedWithTheReason) {
    fill(one_, 2, 1000);
    ASSERT_TRUE(export_artifacts(from_, {}, file_));
    const Fingerprint mine(testing::parts_of("qwen2", "q8_0"));
    const auto in = import_artifacts(
        file_, to_,
        [&](const Fingerprint& found) {
            const auto differ = differences(found, mine);
            return differ.empty() ? std::string() : differ.front();
        },
        at(kNow));
    ASSERT_FALSE(in);
    EXPECT_EQ(in.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(in.error().message, "KV type of keys is f16, not q8_0");
    EXPECT_FALSE(fs::exists(to_)) << "nothing was made";
}

TEST_F(TransferTest, AnyFlippedBitIsNoticedAndLeavesNothing) {
    fill(one_, 2, 40);
    ASSERT_TRUE(export_artifacts(from_, {}, file_));
    const auto good = read_all(file_);
    std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
    const auto put = [&](std::size_t i, std::byte byte) {
        file.seekp(static_cast<std::streamoff>(i)).put(static_cast<char>(byte)).flush();
    };
    for (std::size_t i = 0; i < good.size(); ++i) {
        put(i, good[i] ^ static_cast<std::byte>(1U << (i % 8)));
        ASSERT_FALSE(import(file_)) << "byte " << i << " of " << good.size();
        ASSERT_EQ(files_in_target(), 0U) << "byte " << i;
        put(i, good[i]);
    }
    EXPECT_TRUE(import(file_));
}

TEST_F(TransferTest, AnyTruncationIsNoticed) {
    fill(one_, 2, 40);
    ASSERT_TRUE(export_artifacts(from_, {}, file_));
    auto bytes = read_all(file_);
    const fs::path bad = folder_.path() / "bad.tar";
    for (std::size_t n = 0; n < bytes.size(); n += n % 512 == 511 ? 1 : 73) {
        write_all(bad, Bytes(bytes).first(n));
        const auto in = import(bad);
        ASSERT_FALSE(in) << n;
        EXPECT_EQ(in.error().code, ErrorCode::kLoadFailed) << in.error().message;
    }
    bytes.resize(bytes.size() + 512);
    write_all(bad, bytes);
    EXPECT_FALSE(import(bad)) << "something after the end";
    EXPECT_EQ(import(folder_.path() / "none").error().code, ErrorCode::kNotFound);
    EXPECT_FALSE(import(folder_.path()));
    EXPECT_EQ(files_in_target(), 0U);
}

TEST_F(TransferTest, MixedUpEntriesAreNoticed) {
    fill(one_, 2, 40);
    ASSERT_TRUE(export_artifacts(from_, {}, file_));
    // Intro (2 blocks), manifest (1 + content), then two artifacts of the same length: swapped.
    auto bytes = read_all(file_);
    const std::size_t manifest = 512 + one_.text().size() + tar_padding(one_.text().size());
    const std::size_t first = 1024 + manifest;
    const std::size_t each = 512 + 512;
    std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(first),
                     bytes.begin() + static_cast<std::ptrdiff_t>(first + each),
                     bytes.begin() + static_cast<std::ptrdiff_t>(first + each));
    write_all(file_, bytes);
    const auto in = import(file_);
    ASSERT_FALSE(in);
    EXPECT_NE(in.error().message.find("checksum"), std::string::npos) << in.error().message;
}

TEST_F(TransferTest, NoiseAndHostileHeadersAreHarmless) {
    const fs::path bad = folder_.path() / "bad.tar";
    for (unsigned seed = 0; seed < 300; ++seed) {
        std::mt19937_64 random(seed);
        std::vector<std::byte> bytes = testing::random_bytes(random() % 4000, seed);
        if (seed % 2 == 0 && bytes.size() >= 512) {
            const auto header = tar_header("sutazai-artifacts.txt", random() % kMostTarSize);
            std::ranges::copy(header, bytes.begin());
        }
        write_all(bad, bytes);
        ASSERT_FALSE(import(bad)) << seed;
    }
}

TEST_F(TransferTest, DamagedArtifactsAreNotExported) {
    fill(one_, 3, 1000);
    std::ofstream(block_path(from_ / one_.id(), testing::single(one_, 1).hash), std::ios::in | std::ios::out)
        << "rubbish";
    const auto out = export_artifacts(from_, {}, file_);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->artifacts, 2U);
    EXPECT_EQ(out->skipped, 1U);
    EXPECT_TRUE(import(file_));
}

TEST_F(TransferTest, CancellingLeavesNothing) {
    fill(one_, 4, 1000);
    int left = 2;
    const auto stop = [&](std::uint64_t, std::uint64_t) { return --left > 0; };
    EXPECT_EQ(export_artifacts(from_, {}, file_, stop).error().code, ErrorCode::kCancelled);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1) << "only `from`";
    ASSERT_TRUE(export_artifacts(from_, {}, file_));
    for (int after = 1; after <= 8; ++after) {
        left = after;
        EXPECT_EQ(import_artifacts(file_, to_, {}, at(kNow), stop).error().code, ErrorCode::kCancelled) << after;
        EXPECT_EQ(files_in_target(), 0U) << after;
    }
    EXPECT_TRUE(import(file_));
}

TEST_F(TransferTest, ProgressGrowsToTheEnd) {
    fill(one_, 10, 5000);
    double last = 0;
    const auto see = [&](std::uint64_t done, std::uint64_t total) {
        const double share = static_cast<double>(done) / static_cast<double>(total);
        EXPECT_GE(share, last);
        EXPECT_LE(share, 1);
        last = share;
        return true;
    };
    ASSERT_TRUE(export_artifacts(from_, {}, file_, see));
    EXPECT_EQ(last, 1);
    last = 0;
    ASSERT_TRUE(import_artifacts(file_, to_, {}, at(kNow), see));
    EXPECT_EQ(last, 1);
}

TEST_F(TransferTest, AnExportReplacesWholeFilesOnly) {
    fill(one_, 1, 100);
    write_all(file_, testing::random_bytes(10, 1));
    EXPECT_FALSE(export_artifacts(folder_.path() / "none", {}, file_));
    EXPECT_EQ(fs::file_size(file_), 10U);
    EXPECT_TRUE(export_artifacts(from_, {}, file_));
    EXPECT_FALSE(export_artifacts(from_, {}, folder_.path() / "no" / "such" / "place"));
}

TEST(Tar, HeadersAreStrict) {
    const TarHeader good = tar_header("a/b.txt", 1234567);
    const auto entry = parse_tar_header(good);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->name, "a/b.txt");
    EXPECT_EQ(entry->size, 1234567U);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        TarHeader bad = good;
        bad.at(bit / 8) ^= static_cast<std::byte>(1U << (bit % 8));
        const auto other = parse_tar_header(bad);
        EXPECT_FALSE(other) << bit;
    }
    EXPECT_FALSE(parse_tar_header(TarHeader{}));
    EXPECT_EQ(parse_tar_header(tar_header(std::string(99, 'x'), kMostTarSize))->size, kMostTarSize);
}

}  // namespace
}  // namespace sutazai::artifact
