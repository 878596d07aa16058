// What one process repacks and another maps. Here one process is both.
#include "kernels/weight_share.h"

#include <fcntl.h>
#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/level_backend.h"

namespace sutazai::kernels {
namespace {

using Weights = std::vector<unsigned char>;

/// Tensors of Q4_0 in one buffer of repacked weights, as llama.cpp loads them.
struct Loaded {
    ggml_context_ptr context;
    ggml_backend_buffer_ptr buffer;
    std::vector<ggml_tensor*> tensors;

    [[nodiscard]] Weights bytes(std::size_t i) const {
        const auto* data = static_cast<const unsigned char*>(tensors.at(i)->data);
        return {data, data + ggml_nbytes(tensors.at(i))};
    }
};

class WeightShareTest : public testing::Test {
  protected:
    static constexpr std::int64_t kWidth = 64;
    static constexpr std::int64_t kRows = 256;

    void SetUp() override {
        if (backend.repacking() == nullptr || !backend.repacks(GGML_TYPE_Q4_0, kWidth, kRows)) {
            GTEST_SKIP() << "nothing is repacked at this level";
        }
    }

    static Weights random_weights(unsigned seed) {
        Weights out(ggml_row_size(GGML_TYPE_Q4_0, kWidth) * kRows);
        std::mt19937 random(seed);
        for (unsigned char& byte : out) byte = static_cast<unsigned char>(random());
        return out;
    }

    /// Loads tensors "w0", "w1", ... through the share; null: as ggml does.
    Loaded load(WeightShare* share, const std::vector<Weights>& weights, std::int64_t rows = kRows) {
        Loaded out;
        ggml_init_params params{};
        params.mem_size = ggml_tensor_overhead() * (weights.size() + 1);
        params.no_alloc = true;
        out.context.reset(ggml_init(params));
        for (std::size_t i = 0; i < weights.size(); ++i) {
            out.tensors.push_back(ggml_new_tensor_2d(out.context.get(), GGML_TYPE_Q4_0, kWidth, rows));
            ggml_set_name(out.tensors.back(), ("w" + std::to_string(i)).c_str());
        }
        std::optional<WeightShare::Use> use;
        if (share != nullptr) use.emplace(*share);
        out.buffer.reset(ggml_backend_alloc_ctx_tensors_from_buft(out.context.get(), backend.repacking()));
        for (std::size_t i = 0; i < weights.size(); ++i) {
            ggml_backend_tensor_set(out.tensors[i], weights[i].data(), 0, ggml_nbytes(out.tensors[i]));
        }
        use.reset();
        if (share != nullptr) share->publish();
        return out;
    }

    LevelBackend backend{cpu_level()};
};

TEST_F(WeightShareTest, ASiblingHasTheSameBytesWithoutReadingThem) {
    const std::vector<Weights> weights{random_weights(1), random_weights(2)};
    const Loaded plain = load(nullptr, weights);
    WeightShare first("origin");
    const Loaded made = load(&first, weights);
    ASSERT_NE(first.memory(), nullptr);
    EXPECT_EQ(first.taken_bytes(), 0U);
    EXPECT_EQ(first.shared_bytes(), 2 * weights[0].size());

    auto memory = WeightMemory::open(::getpid(), first.memory()->fd());
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->id(), first.memory()->id());
    EXPECT_EQ(memory->contents().origin, "origin");
    EXPECT_EQ(memory->contents().build, build_of_this_process());
    ASSERT_EQ(memory->contents().tensors.size(), 2U);
    EXPECT_EQ(memory->contents().tensors[1].name, "w1");

    WeightShare second("another");
    second.start_from(std::move(*memory), {"w0", "w1"});
    // What stands in the file then is not even looked at.
    const Loaded taken = load(&second, {Weights(weights[0].size()), Weights(weights[1].size())});
    EXPECT_EQ(second.taken_bytes(), 2 * weights[0].size());
    ASSERT_NE(second.memory(), nullptr) << "it hands on what it has";
    for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(made.bytes(i), plain.bytes(i));
        EXPECT_EQ(taken.bytes(i), plain.bytes(i));
    }
}

TEST_F(WeightShareTest, WhatDiffersIsOnesOwn) {
    const std::vector<Weights> weights{random_weights(1), random_weights(2)};
    const std::vector<Weights> tuned{weights[0], random_weights(3)};
    WeightShare first("a");
    const Loaded made = load(&first, weights);
    const Weights before = made.bytes(1);
    WeightShare second("b");
    second.start_from(*WeightMemory::open(::getpid(), first.memory()->fd()), {"w0"});
    const Loaded taken = load(&second, tuned);
    const Loaded plain = load(nullptr, tuned);
    EXPECT_EQ(second.taken_bytes(), weights[0].size());
    EXPECT_EQ(taken.bytes(0), plain.bytes(0));
    EXPECT_EQ(taken.bytes(1), plain.bytes(1));
    EXPECT_EQ(made.bytes(1), before) << "the first model's weights stay as they are";
}

TEST_F(WeightShareTest, ATensorOfAnotherShapeIsNotTaken) {
    WeightShare first("a");
    const Loaded made = load(&first, {random_weights(1)});
    WeightShare second("b");
    second.start_from(*WeightMemory::open(::getpid(), first.memory()->fd()), {"w0"});
    Weights half = random_weights(4);
    half.resize(half.size() / 2);
    const Loaded smaller = load(&second, {half}, kRows / 2);
    const Loaded plain = load(nullptr, {half}, kRows / 2);
    EXPECT_EQ(second.taken_bytes(), 0U);
    EXPECT_EQ(smaller.bytes(0), plain.bytes(0));
}

TEST_F(WeightShareTest, ItStaysWhenItsMakerIsGoneAndNobodyCanWriteToIt) {
    const std::vector<Weights> weights{random_weights(1)};
    std::optional<WeightMemory> memory;
    Weights bytes;
    {
        WeightShare first("a");
        const Loaded made = load(&first, weights);
        bytes = made.bytes(0);
        memory = WeightMemory::open(::getpid(), first.memory()->fd());
        EXPECT_LT(::pwrite(first.memory()->fd(), "x", 1, 0), 0);
        EXPECT_NE(::ftruncate(first.memory()->fd(), 0), 0);
        EXPECT_EQ(::mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, first.memory()->fd(), 0), MAP_FAILED);
    }
    ASSERT_TRUE(memory);
    WeightShare second("b");
    second.start_from(std::move(*memory), {"w0"});
    EXPECT_EQ(load(&second, {Weights(weights[0].size())}).bytes(0), bytes);
}

TEST(WeightMemory, WhatIsNotSealedOrNotWellFormedIsNotOpened) {
    EXPECT_FALSE(WeightMemory::open(::getpid(), -1));
    EXPECT_FALSE(WeightMemory::open(::getpid(), 0));
    EXPECT_FALSE(WeightMemory::open(0, 0));
    const auto open = WeightMemory::make(4096);
    ASSERT_TRUE(open);
    EXPECT_FALSE(WeightMemory::open(::getpid(), open->fd())) << "others could still write to it";

    // Sealed memory with every one of the last bytes another one, or cut there.
    auto whole = WeightMemory::make(4096);
    ASSERT_TRUE(whole->seal({"build", "origin", 4096, {{"w", 0, 64, 2, {64, 1, 1, 1}}}}));
    std::string all(4096, '\0');
    for (char c = 0; ::pread(whole->fd(), &c, 1, static_cast<off_t>(all.size())) == 1;) all += c;
    const auto opens = [](const std::string& bytes) {
        const int fd = ::memfd_create("test", MFD_ALLOW_SEALING);
        EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
        ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
        const auto memory = WeightMemory::open(::getpid(), fd);
        const bool sane = !memory || (memory->contents().buffer_bytes <= bytes.size() &&
                                      std::ranges::all_of(memory->contents().tensors, [&](const PlacedTensor& tensor) {
                                          return tensor.offset + tensor.bytes <= memory->contents().buffer_bytes;
                                      }));
        EXPECT_TRUE(sane);
        ::close(fd);
        return memory.has_value();
    };
    EXPECT_TRUE(opens(all));
    for (std::size_t at = 4096; at < all.size(); ++at) {
        for (const char c : {'\0', '0', '9', 'f', ' ', '\n', '\xff'}) {
            std::string other = all;
            other[at] = c;
            (void)opens(other);
        }
        EXPECT_FALSE(opens(all.substr(0, at))) << "cut at " << at;
    }
}

}  // namespace
}  // namespace sutazai::kernels
