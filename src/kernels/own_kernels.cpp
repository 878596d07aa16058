#include "kernels/own_kernels.h"

namespace sutazai::kernels {

OwnKernels& own_kernels() {
    static OwnKernels kernels;
    return kernels;
}

}  // namespace sutazai::kernels
