#pragma once

#include <ggml-backend.h>
#include <ggml-cpp.h>
#include <ggml.h>

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu_level.h"

/// One level's CPU backend, for tests and benchmarks.
namespace sutazai::kernels {

class LevelBackend {
  public:
    explicit LevelBackend(const CpuLevel& level)
        : registry_(level.backend()),
          device_(ggml_backend_reg_dev_get(registry_, 0)),
          backend_(ggml_backend_dev_init(device_, nullptr)) {}

    [[nodiscard]] ggml_backend_t get() const { return backend_.get(); }

    ggml_status compute(ggml_cgraph* graph, int threads) {
        reinterpret_cast<ggml_backend_set_n_threads_t>(
            ggml_backend_reg_get_proc_address(registry_, "ggml_backend_set_n_threads"))(backend_.get(), threads);
        return ggml_backend_graph_compute(backend_.get(), graph);
    }

    /// The buffer types that llama.cpp is offered for weights, beside plain memory.
    [[nodiscard]] std::vector<ggml_backend_buffer_type_t> extra_types() const {
        std::vector<ggml_backend_buffer_type_t> types;
        for (auto* type = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
                 ggml_backend_reg_get_proc_address(registry_, "ggml_backend_dev_get_extra_bufts"))(device_);
             type != nullptr && *type != nullptr; ++type) {
            types.push_back(*type);
        }
        return types;
    }

    /// The one that interleaves columns.
    [[nodiscard]] ggml_backend_buffer_type_t repacking() const {
        for (auto* type : extra_types()) {
            if (std::string_view(ggml_backend_buft_name(type)) == "CPU_REPACK") return type;
        }
        return nullptr;
    }

    /// Whether weights of [n, columns] are interleaved at this level, as llama.cpp asks.
    [[nodiscard]] bool repacks(ggml_type type, std::int64_t n, std::int64_t columns) const {
        if (repacking() == nullptr) return false;
        ggml_init_params params{};
        params.mem_size = ggml_tensor_overhead() * 4;
        params.no_alloc = true;
        const ggml_context_ptr context(ggml_init(params));
        ggml_tensor* weights = ggml_new_tensor_2d(context.get(), type, n, columns);
        ggml_tensor* product =
            ggml_mul_mat(context.get(), weights, ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, n, 1));
        const ggml_backend_buffer_ptr nothing(ggml_backend_buft_alloc_buffer(repacking(), 0));
        weights->buffer = nothing.get();
        return ggml_backend_dev_supports_op(device_, product);
    }

  private:
    ggml_backend_reg_t registry_;
    ggml_backend_dev_t device_;
    ggml_backend_ptr backend_;
};

/// As a parameter of tests is printed and, in letters, digits and underscores only, named.
[[maybe_unused]] inline void PrintTo(const CpuLevel& level, std::ostream* out) {
    *out << level.name;
}
inline std::string level_label(const CpuLevel& level) {
    std::string label;
    for (const char c : level.name) label += c == '-' ? '_' : c;
    return label;
}

}  // namespace sutazai::kernels
