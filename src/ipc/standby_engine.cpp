#include "ipc/standby_engine.h"

#include <utility>

#include "ipc/connection.h"

namespace sutazai::ipc {

Result<std::unique_ptr<StandbyEngine>> StandbyEngine::spawn(const boost::asio::any_io_executor& executor,
                                                            const std::string& executable,
                                                            const std::vector<std::string>& arguments) {
    std::vector<std::string> all = arguments;
    all.emplace_back("--standby");
    auto opened = Connection::open(executor, executable, all);
    if (!opened) return std::unexpected(std::move(opened.error()));
    return std::make_unique<StandbyEngine>(std::move(*opened));
}

StandbyEngine::StandbyEngine(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

StandbyEngine::~StandbyEngine() {
    if (connection_ != nullptr) connection_->abandon();
}

int StandbyEngine::pid() const {
    return connection_->pid();
}

bool StandbyEngine::alive() const {
    return !connection_->process_ended();
}

void StandbyEngine::on_exit(std::function<void(std::string)> handler) {
    connection_->on_exit([handler = std::move(handler)](bool, std::string why) { handler(std::move(why)); });
}

std::shared_ptr<Connection> StandbyEngine::release() {
    connection_->on_exit(nullptr);
    return std::exchange(connection_, nullptr);
}

}  // namespace sutazai::ipc
