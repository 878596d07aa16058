#include "kernels/level_parts.h"

#include <ggml-backend-impl.h>
#include <ggml-cpu.h>
#include <traits.h>

#include "kernels/adapter_rows.h"
#include "kernels/attention.h"
#include "kernels/logit_scan.h"
#include "kernels/matmul.h"
#include "kernels/team_barrier.h"

extern "C" sutazai::kernels::LevelEntry SUTAZAI_LEVEL_ENTRY;

namespace sutazai::kernels {
namespace {

class Attention final : public ggml::cpu::tensor_traits {
    bool work_size(int /*n_threads*/, const ggml_tensor* /*op*/, std::size_t& /*size*/) override {
        return false;  // none, but ggml may have to compute it after all
    }
    bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override { return attend(params, op); }
};

class Products final : public ggml::cpu::tensor_traits {
    bool work_size(int /*n_threads*/, const ggml_tensor* op, std::size_t& size) override {
        return product_work_size(op, size);
    }
    bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
        return adapt_rows(params, op) || multiply(params, op);
    }
};

/// ggml asks its extra buffer types for a kernel before it computes a node. Nothing is ever allocated in this one.
class OwnKernelsFirst final : public ggml::cpu::extra_buffer_type {
    bool supports_op(ggml_backend_dev_t /*device*/, const ggml_tensor* /*op*/) override { return false; }
    ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
        switch (op->op) {
            case GGML_OP_FLASH_ATTN_EXT: return &attention_;
            case GGML_OP_MUL_MAT: return &products_;
            default: return nullptr;
        }
    }
    Attention attention_;
    Products products_;
};

const char* own_name(ggml_backend_buffer_type_t /*type*/) {
    return "SutazAI";
}
ggml_backend_buffer_t allocate_nothing(ggml_backend_buffer_type_t /*type*/, std::size_t /*size*/) {
    return nullptr;
}
std::size_t own_alignment(ggml_backend_buffer_type_t /*type*/) {
    return ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type());
}

void install() {
    const ggml_backend_reg_t ggml = ggml_backend_cpu_reg();
    ggml_backend_dev_t device = ggml_backend_reg_dev_get(ggml, 0);
    // What llama.cpp is offered for weights is the list as it is when it is first asked for: without ours.
    reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
        ggml_backend_reg_get_proc_address(ggml, "ggml_backend_dev_get_extra_bufts"))(device);
    static OwnKernelsFirst context;
    static ggml_backend_buffer_type type{};
    type.iface.get_name = own_name;
    type.iface.alloc_buffer = allocate_nothing;
    type.iface.get_alignment = own_alignment;
    type.device = device;
    // As ggml reads it: the base class.
    type.context = static_cast<ggml::cpu::extra_buffer_type*>(&context);
    auto& types = ggml_backend_cpu_get_extra_buffer_types();
    types.insert(types.begin(), &type);
    ggml_cpu_set_barrier(meet);
}

}  // namespace
}  // namespace sutazai::kernels

const sutazai::kernels::LevelParts* SUTAZAI_LEVEL_ENTRY() {
    using namespace sutazai::kernels;  // NOLINT(google-build-using-namespace)
    static const LevelParts parts{ggml_backend_cpu_reg, install, scan_logits_at_level, has_attention(), has_products()};
    return &parts;
}
