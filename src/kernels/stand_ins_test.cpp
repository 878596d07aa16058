// What the stand-ins leave behind, against ggml's own functions.
#include "kernels/stand_ins.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <gguf.h>
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

namespace sutazai::kernels {
namespace {

struct BufferDeleter {
    void operator()(ggml_backend_buffer_t buffer) const { ggml_backend_buffer_free(buffer); }
};
using Buffer = std::unique_ptr<ggml_backend_buffer, BufferDeleter>;

std::size_t resident_bytes() {
    std::ifstream in("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    in >> total >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(ClearTest, LeavesZeroesEverywhereAndTouchesNothing) {
    constexpr std::size_t kBytes = (std::size_t{64} << 20) + 12345;
    const Buffer buffer(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), kBytes));
    auto* bytes = static_cast<unsigned char*>(ggml_backend_buffer_get_base(buffer.get()));
    const std::size_t size = ggml_backend_buffer_get_size(buffer.get());
    std::memset(bytes, 0xA5, size);
    const std::size_t before = resident_bytes();
    const std::uint64_t counted = bytes_cleared_untouched();
    ggml_backend_buffer_clear(buffer.get(), 0);
    EXPECT_LT(resident_bytes() + kBytes / 2, before) << "the memory has gone back to the kernel";
    EXPECT_GE(bytes_cleared_untouched() - counted, kBytes - (std::size_t{64} << 10));
    EXPECT_TRUE(std::all_of(bytes, bytes + size, [](unsigned char byte) { return byte == 0; }));
    bytes[size / 2] = 1;
    EXPECT_EQ(bytes[size / 2], 1);
}

TEST(ClearTest, OtherValuesAndSmallBuffersAreWritten) {
    for (const auto& [size, value] : {std::pair<std::size_t, std::uint8_t>{4 << 20, 7}, {1000, 0}}) {
        const Buffer buffer(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size));
        auto* bytes = static_cast<unsigned char*>(ggml_backend_buffer_get_base(buffer.get()));
        std::memset(bytes, 0xA5, size);
        const std::uint64_t counted = bytes_cleared_untouched();
        ggml_backend_buffer_clear(buffer.get(), value);
        EXPECT_EQ(bytes_cleared_untouched(), counted);
        EXPECT_TRUE(
            std::all_of(bytes, bytes + size, [&, expected = value](unsigned char byte) { return byte == expected; }));
    }
}

/// ggml's buffer type for repacked weights; null where the processor has no use for it.
ggml_backend_buffer_type_t repack_type() {
    ggml_backend_reg_t reg = ggml_backend_cpu_reg();
    const auto extra = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
        ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts"));
    for (auto* type = extra(ggml_backend_reg_dev_get(reg, 0)); type != nullptr && *type != nullptr; ++type) {
        if (std::string(ggml_backend_buft_name(*type)) == "CPU_REPACK") return *type;
    }
    return nullptr;
}

/// The bytes of a repacked tensor of random weights [width, rows, experts]; empty when it is not repacked here.
std::vector<unsigned char> repacked(ggml_type type, std::int64_t width, std::int64_t rows, std::int64_t experts) {
    ggml_init_params params{};
    params.mem_size = ggml_tensor_overhead() * 2;
    params.no_alloc = true;
    const std::unique_ptr<ggml_context, void (*)(ggml_context*)> context(ggml_init(params), ggml_free);
    ggml_tensor* tensor = ggml_new_tensor_3d(context.get(), type, width, rows, experts);
    const std::size_t size = ggml_nbytes(tensor);
    const Buffer buffer(ggml_backend_buft_alloc_buffer(repack_type(), size));
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

TEST(CopyTest, ThreadsCopyEveryByteOfARange) {
    const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(ggml_backend_cpu_init(),
                                                                              ggml_backend_free);
    ggml_init_params params{};
    params.mem_size = 1U << 20;
    params.no_alloc = true;
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(ggml_init(params), ggml_free);
    constexpr std::size_t kBytes = (5U << 20) + 12;
    ggml_tensor* tensor = ggml_new_tensor_1d(context.get(), GGML_TYPE_I8, kBytes);
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
        ggml_backend_alloc_ctx_tensors_from_buft(context.get(), ggml_backend_cpu_buffer_type()),
        ggml_backend_buffer_free);
    std::vector<std::uint8_t> values(kBytes);
    std::mt19937 random(1);
    for (auto& value : values) value = static_cast<std::uint8_t>(random());
    ggml_backend_tensor_set(tensor, values.data(), 0, kBytes);
    set_repack_threads(3);
    for (const auto& [offset, size] : {std::pair<std::size_t, std::size_t>{0, kBytes}, {7, kBytes - 8}, {100, 50}}) {
        std::vector<std::uint8_t> got(size + 1, 0xEE);
        ggml_backend_tensor_get_async(backend.get(), tensor, got.data(), offset, size);
        EXPECT_TRUE(std::equal(got.begin(), got.end() - 1, values.begin() + static_cast<std::ptrdiff_t>(offset)));
        EXPECT_EQ(got.back(), 0xEE) << "nothing is written past the end";
    }
    set_repack_threads(1);
}

TEST(RepackTest, ThreadsMakeTheSameBytes) {
    ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);  // a line for each piece
    if (repack_type() == nullptr) GTEST_SKIP() << "weights are not repacked on this processor";
    int n_compared = 0;
    for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_Q2_K, GGML_TYPE_Q8_0, GGML_TYPE_IQ4_NL}) {
        for (const auto& [rows, experts] : {std::pair<std::int64_t, std::int64_t>{4096, 1}, {4096 + 8, 1}, {136, 40}}) {
            set_repack_threads(1);
            const auto alone = repacked(type, 1024, rows, experts);
            set_repack_threads(3);
            const auto together = repacked(type, 1024, rows, experts);
            set_repack_threads(1);
            EXPECT_TRUE(alone == together) << ggml_type_name(type) << ' ' << rows << " x " << experts;
            n_compared += alone.empty() ? 0 : 1;
        }
    }
    if (n_compared == 0) GTEST_SKIP() << "none of these types is repacked on this processor";
}

}  // namespace
}  // namespace sutazai::kernels
