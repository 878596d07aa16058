// What the stand-ins leave behind, against ggml's own functions.
#include "kernels/stand_ins.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/level_backend.h"
#include "kernels/own_kernels.h"

namespace sutazai::kernels {
namespace {

/// Plain memory, once a CPU backend has been made.
ggml_backend_buffer_ptr plain_buffer(std::size_t size) {
    const LevelBackend backend(cpu_level());
    return ggml_backend_buffer_ptr(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size));
}

std::size_t resident_bytes() {
    std::ifstream in("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    in >> total >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(ClearTest, LeavesZeroesEverywhereAndTouchesNothing) {
    constexpr std::size_t kBytes = (std::size_t{64} << 20) + 12345;
    const auto buffer = plain_buffer(kBytes);
    auto* bytes = static_cast<unsigned char*>(ggml_backend_buffer_get_base(buffer.get()));
    const std::size_t size = ggml_backend_buffer_get_size(buffer.get());
    std::memset(bytes, 0xA5, size);
    const std::size_t before = resident_bytes();
    const std::uint64_t counted = bytes_cleared_untouched();
    const std::uint64_t cleared = own_kernels().clears.done;
    ggml_backend_buffer_clear(buffer.get(), 0);
    EXPECT_LT(resident_bytes() + kBytes / 2, before) << "the memory has gone back to the kernel";
    EXPECT_EQ(own_kernels().clears.done - cleared, 1);
    EXPECT_GE(bytes_cleared_untouched() - counted, kBytes - (std::size_t{64} << 10));
    EXPECT_TRUE(std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; }));
    bytes[size / 2] = 1;
    EXPECT_EQ(bytes[size / 2], 1);
}

TEST(ClearTest, OtherValuesAndSmallBuffersAreWritten) {
    for (const auto& [size, value] : {std::pair<std::size_t, std::uint8_t>{4 << 20, 7}, {1000, 0}}) {
        const auto buffer = plain_buffer(size);
        auto* bytes = static_cast<unsigned char*>(ggml_backend_buffer_get_base(buffer.get()));
        std::memset(bytes, 0xA5, size);
        const std::uint64_t counted = bytes_cleared_untouched();
        ggml_backend_buffer_clear(buffer.get(), value);
        EXPECT_EQ(bytes_cleared_untouched(), counted);
        EXPECT_TRUE(
            std::all_of(bytes, bytes + size, [&, expected = value](unsigned char byte) { return byte == expected; }));
    }
}

class Levels : public testing::TestWithParam<CpuLevel> {
  protected:
    void TearDown() override { set_repack_threads(1); }

    /// The bytes of a repacked tensor of random weights [width, rows, experts]; empty when it is not repacked here.
    std::vector<unsigned char> repacked(ggml_type type, std::int64_t width, std::int64_t rows, std::int64_t experts) {
        ggml_init_params params{};
        params.mem_size = ggml_tensor_overhead() * 2;
        params.no_alloc = true;
        const ggml_context_ptr context(ggml_init(params));
        ggml_tensor* tensor = ggml_new_tensor_3d(context.get(), type, width, rows, experts);
        const std::size_t size = ggml_nbytes(tensor);
        const ggml_backend_buffer_ptr buffer(ggml_backend_buft_alloc_buffer(backend.repacking(), size));
        EXPECT_EQ(ggml_backend_tensor_alloc(buffer.get(), tensor, ggml_backend_buffer_get_base(buffer.get())),
                  GGML_STATUS_SUCCESS);
        if (tensor->extra == nullptr) return {};
        std::vector<unsigned char> data(size);
        std::mt19937 random(7);
        for (unsigned char& byte : data) byte = static_cast<unsigned char>(random());
        ggml_backend_tensor_set(tensor, data.data(), 0, size);
        const auto* base = static_cast<const unsigned char*>(tensor->data);
        return {base, base + size};
    }

    LevelBackend backend{GetParam()};
};

TEST_P(Levels, ThreadsCopyEveryByteOfARange) {
    ggml_init_params params{};
    params.mem_size = 1U << 20;
    params.no_alloc = true;
    const ggml_context_ptr context(ggml_init(params));
    constexpr std::size_t kBytes = (5U << 20) + 12;
    ggml_tensor* tensor = ggml_new_tensor_1d(context.get(), GGML_TYPE_I8, kBytes);
    const ggml_backend_buffer_ptr buffer(
        ggml_backend_alloc_ctx_tensors_from_buft(context.get(), ggml_backend_cpu_buffer_type()));
    std::vector<std::uint8_t> values(kBytes);
    std::mt19937 random(1);
    for (auto& value : values) value = static_cast<std::uint8_t>(random());
    ggml_backend_tensor_set(tensor, values.data(), 0, kBytes);
    set_repack_threads(3);
    struct Range {
        std::size_t offset;
        std::size_t size;
        bool by_threads;
    };
    for (const auto& [offset, size, by_threads] :
         {Range{0, kBytes, true}, Range{7, kBytes - 8, true}, Range{100, 50, false}}) {
        std::vector<std::uint8_t> got(size + 1, 0xEE);
        const std::uint64_t before = own_kernels().copies.done;
        ggml_backend_tensor_get_async(backend.get(), tensor, got.data(), offset, size);
        EXPECT_EQ(own_kernels().copies.done - before, by_threads ? 1 : 0) << "who copied";
        EXPECT_TRUE(std::equal(got.begin(), got.end() - 1, values.begin() + static_cast<std::ptrdiff_t>(offset)));
        EXPECT_EQ(got.back(), 0xEE) << "nothing is written past the end";
    }
}

TEST_P(Levels, ThreadsRepackToTheSameBytes) {
    ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);  // a line for each piece
    if (backend.repacking() == nullptr) return;
    int n_compared = 0;
    for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_Q2_K, GGML_TYPE_Q8_0, GGML_TYPE_IQ4_NL}) {
        for (const auto& [rows, experts] : {std::pair<std::int64_t, std::int64_t>{4096, 1}, {4096 + 8, 1}, {136, 40}}) {
            SCOPED_TRACE(testing::Message() << ggml_type_name(type) << ' ' << rows << " x " << experts);
            const std::uint64_t before = own_kernels().repacks.done;
            set_repack_threads(1);
            const auto alone = repacked(type, 1024, rows, experts);
            EXPECT_EQ(own_kernels().repacks.done, before);
            set_repack_threads(3);
            const auto together = repacked(type, 1024, rows, experts);
            EXPECT_TRUE(alone == together);
            EXPECT_EQ(own_kernels().repacks.done - before, alone.empty() ? 0 : 1) << "who repacked";
            n_compared += alone.empty() ? 0 : 1;
        }
    }
    EXPECT_EQ(n_compared > 0, backend.repacks(GGML_TYPE_Q4_0, 1024, 4096));
}

INSTANTIATE_TEST_SUITE_P(StandIns, Levels, testing::ValuesIn(cpu_levels().begin(), cpu_levels().end()),
                         [](const auto& info) { return level_label(info.param); });

}  // namespace
}  // namespace sutazai::kernels
