#include "kernels/own_kernels.h"

#include <cstdlib>

namespace sutazai::kernels {

OwnKernels& own_kernels() {
    static OwnKernels& kernels = *[] {
        auto* made = new OwnKernels;
        made->attention.on = std::getenv("SUTAZAI_GGML_ATTENTION") == nullptr;
        made->products.on = std::getenv("SUTAZAI_GGML_MATMUL") == nullptr;
        return made;
    }();
    return kernels;
}

}  // namespace sutazai::kernels
