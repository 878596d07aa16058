// LoRA files with bytes changed, cut off or put in: each is an adapter that fits, or an error that says something.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>

#include "base/testing/temporary_folder.h"
#include "llama/adapters.h"
#include "llama/model.h"
#include "llama/testing/test_adapters.h"
#include "llama/testing/test_models.h"

namespace sutazai::llama {
namespace {

class AdapterFuzz : public testing::TestWithParam<bool> {
  protected:
    void SetUp() override {
        path_ = folder_.path() / "a.gguf";
        write_test_adapter(test_model(), path_, {.f16 = GetParam(), .part = "attn_q"});
        std::ifstream in(path_, std::ios::binary);
        good_.assign(std::istreambuf_iterator<char>(in), {});
        ASSERT_GT(good_.size(), 1000U);
        // Where the numbers of the tensors begin: heads are small, and most of what can go wrong is there.
        head_ = std::min<std::size_t>(good_.size(), 2048);
    }

    /// True when it is an adapter.
    bool open(const std::string& bytes) {
        std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
        AdapterShelf shelf(model_->handle(), 64 << 20);  // which knows no file yet
        const auto set = shelf.open(std::vector{AdapterChoice{"a", path_}});
        if (!set) {
            EXPECT_FALSE(set.error().message.empty());
            EXPECT_EQ(set.error().code, ErrorCode::kLoadFailed) << set.error().message;
            return false;
        }
        for (const AdapterSet::Member& member : (*set)->members) {
            EXPECT_LE(member.adapter->bytes, 64U << 20);
            EXPECT_GE(member.adapter->most_rank, 0);
        }
        return true;
    }

    TemporaryFolder folder_;
    std::string path_;
    std::string good_;
    std::size_t head_ = 0;
    std::unique_ptr<Model> model_ = load_test_model();
};

TEST_P(AdapterFuzz, FilesThatAreCutAreNone) {
    ASSERT_TRUE(open(good_));
    std::mt19937 random(1);
    for (int i = 0; i < 300; ++i) EXPECT_FALSE(open(good_.substr(0, random() % good_.size()))) << i;
}

TEST_P(AdapterFuzz, ChangedBytesNeverEndTheProcess) {
    const std::uint64_t seed = 7;
    std::mt19937_64 random(seed);
    int n_fit = 0;
    for (int i = 0; i < 3000; ++i) {
        SCOPED_TRACE(testing::Message() << "seed " << seed << ", round " << i);
        std::string bad = good_;
        for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
            const std::size_t at = random() % head_;
            switch (random() % 4) {
                case 0: bad[at] = static_cast<char>(random()); break;
                case 1: bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8)); break;
                case 2: {  // a length, count, size or offset
                    constexpr std::uint64_t kNumbers[] = {0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1ULL << 40, ~0ULL, ~0ULL >> 1};
                    const std::uint64_t number = kNumbers[random() % std::size(kNumbers)];
                    std::memcpy(&bad[std::min(at, bad.size() - 8)], &number, random() % 2 == 0 ? 4 : 8);
                    break;
                }
                default: bad.insert(at, 1 + random() % 16, static_cast<char>(random())); break;
            }
        }
        n_fit += open(bad) ? 1 : 0;
    }
    EXPECT_GT(n_fit, 0) << "a changed name of the author, say, harms nobody: the test changes too much";
    EXPECT_LT(n_fit, 3000);
    EXPECT_TRUE(open(good_));
}

TEST_P(AdapterFuzz, OddNumbersInTheMatricesAreRefused) {
    std::mt19937 random(3);
    for (int i = 0; i < 50; ++i) {
        std::string bad = good_;
        const std::size_t at = bad.size() - 64 - random() % 256 / 4 * 4;
        const float nan = std::nanf("");
        const std::uint16_t half_nan = 0x7E00;
        if (GetParam()) {
            std::memcpy(&bad[at], &half_nan, sizeof half_nan);
        } else {
            std::memcpy(&bad[at], &nan, sizeof nan);
        }
        EXPECT_FALSE(open(bad)) << "at " << at << " of " << bad.size();
    }
}

INSTANTIATE_TEST_SUITE_P(Both, AdapterFuzz, testing::Bool(),
                         [](const auto& param) { return param.param ? "F16" : "F32"; });

}  // namespace
}  // namespace sutazai::llama
