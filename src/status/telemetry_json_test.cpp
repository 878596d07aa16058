#include "status/telemetry_json.h"

#include <gtest/gtest.h>

#include <array>

namespace sutazai::status {
namespace {

using models::ModelState;
using models::ModelStatus;

TelemetryLook look_at(std::span<const ModelStatus> models) {
    return telemetry_look(std::chrono::system_clock::time_point(std::chrono::milliseconds(1234)), models, {2, 1000},
                          {});
}

std::array<ModelStatus, 3> three() {
    return {ModelStatus{.name = "cold"}, ModelStatus{.name = "warm", .state = ModelState::kWarm},
            ModelStatus{.name = "used", .requests = 1}};
}

TEST(TelemetryJson, ASnapshotHasWhatIsOrWasInUse) {
    const auto models = three();
    const std::string text = telemetry_snapshot(7, look_at(models));
    EXPECT_TRUE(text.starts_with(R"({"type":"snapshot","seq":7,"at":1234,"machine":{"places":2,"bytes":1000,)"))
        << text;
    EXPECT_NE(text.find(R"("name":"warm")"), std::string::npos);
    EXPECT_NE(text.find(R"("name":"used")"), std::string::npos);
    EXPECT_EQ(text.find(R"("name":"cold")"), std::string::npos);
    EXPECT_TRUE(text.ends_with("]}\n"));
}

TEST(TelemetryJson, ADeltaHasWhatIsAnotherAndWhatIsGone) {
    auto models = three();
    const TelemetryLook before = look_at(models);
    EXPECT_EQ(telemetry_delta(8, before, before), "{\"type\":\"delta\",\"seq\":8,\"at\":1234,\"models\":[]}\n");
    models[1].stats.running = 3;
    models[2].requests = 0;
    const std::string text = telemetry_delta(8, before, look_at(models));
    EXPECT_NE(text.find(R"("name":"warm")"), std::string::npos);
    EXPECT_NE(text.find(R"("running":3)"), std::string::npos);
    EXPECT_EQ(text.find(R"("name":"used")"), std::string::npos);
    EXPECT_TRUE(text.ends_with("],\"gone\":[\"used\"]}\n")) << text;
}

}  // namespace
}  // namespace sutazai::status
