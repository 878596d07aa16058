#include "kernels/adapter_rows.h"

namespace sutazai::kernels {

std::atomic<const AdapterStep*>& adapter_step() {
    static std::atomic<const AdapterStep*> step = nullptr;
    return step;
}

}  // namespace sutazai::kernels
