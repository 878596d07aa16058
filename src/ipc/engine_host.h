#pragma once

#include <functional>
#include <string>

/// The engine process: speaks proto/engine.proto on one socket, serves one model with it.
namespace sutazai::engine_host {

/// Runs until the server says Drain or closes the socket. Returns the process's exit code: 0 after a drain or a closed
/// socket, 1 when the model did not load, 2 when the server spoke nonsense. Takes the calling thread for reading.
/// It makes itself ready and waits for as long as it is told nothing; then `on_name` gets the model's name.
[[nodiscard]] int run(int fd, const std::function<void(const std::string&)>& on_name = {});

}  // namespace sutazai::engine_host
