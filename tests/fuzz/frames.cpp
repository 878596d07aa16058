// Frames between server and engine, in pieces of any length: payloads come out as they would in one piece, and what
// they hold becomes values.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "ipc/frame.h"
#include "ipc/wire.h"
#include "proto/engine.pb.h"
#include "require.h"

namespace {

using namespace sutazai;

std::vector<std::string> payloads(std::span<const char> bytes, std::size_t piece) {
    std::vector<std::string> all;
    ipc::FrameDecoder decoder;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        decoder.feed(bytes.subspan(at, std::min(piece, bytes.size() - at)));
        while (true) {
            const auto payload = decoder.next();
            if (!payload) return all;
            if (!*payload) break;
            all.emplace_back(**payload);
        }
        REQUIRE(decoder.capacity_bytes() <= 4 * bytes.size() + (1U << 17));
    }
    return all;
}

void understand(const std::string& payload) {
    wire::ToEngine to;
    if (to.ParseFromString(payload)) {
        if (to.has_submit()) {
            const RequestId id = to.submit().request_id();
            const GenerationRequest request = ipc::from_wire(to.submit());
            const GenerationRequest again = ipc::from_wire(ipc::to_wire(id, request));
            const bool holds_nan = !(request == request);  // which no frame of ours does, and which equals nothing
            REQUIRE(holds_nan || again == request);
        }
        if (to.has_load()) (void)ipc::from_wire(to.load());
    }
    wire::FromEngine from;
    if (!from.ParseFromString(payload)) return;
    for (const auto& delta : from.step().deltas()) (void)ipc::from_wire(delta);
    for (const auto& finished : from.step().finished()) (void)ipc::from_wire(finished);
    for (const auto& failed : from.step().failed()) (void)ipc::from_wire(failed);
    if (from.has_loaded()) (void)ipc::from_wire(from.loaded());
    (void)ipc::from_wire(from.step().stats());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::span bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto whole = payloads(bytes, std::max<std::size_t>(1, bytes.size()));
    REQUIRE(whole == payloads(bytes, 1 + data[0]));
    for (const std::string& payload : whole) understand(payload);
    return 0;
}
