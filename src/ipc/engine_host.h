#pragma once

/// The engine process: speaks proto/engine.proto on one socket, serves one model with it.
namespace sutazai::engine_host {

/// Runs until the server says Drain or closes the socket. Returns the process's exit code: 0 after a drain or a closed
/// socket, 1 when the model did not load, 2 when the server spoke nonsense. Takes the calling thread for reading.
[[nodiscard]] int run(int fd);

}  // namespace sutazai::engine_host
