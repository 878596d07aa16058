#include "engine/engine.h"

namespace sutazai::engine {

Result<ArtifactReport> Engine::artifacts(ArtifactAction /*action*/) {
    return fail(ErrorCode::kUnavailable, "this build keeps no artifacts");
}

}  // namespace sutazai::engine
