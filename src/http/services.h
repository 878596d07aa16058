#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "http/auth.h"
#include "http/held_body.h"
#include "http/host_check.h"
#include "http/router.h"
#include "http/telemetry.h"
#include "serve/context.h"
#include "serve/jobs.h"
#include "serve/responses.h"

namespace sutazai::batches {
class Runner;
class Store;
}  // namespace sutazai::batches

namespace sutazai::spans {
class Exporter;
}  // namespace sutazai::spans

namespace sutazai::http {

class Session;

/// The answer of GET /v1/models, made anew when the catalogue is another one.
struct ModelList {
    std::uint64_t generation = 0;
    std::string json = {};
};

/// What handlers work with. Owned by the server; on the one I/O thread.
struct Services : serve::Context {
    HostCheck hosts;
    Auth auth;
    Router router;
    BodyBudget bodies;
    serve::Jobs jobs;                  ///< models that are being made or moved
    std::size_t places = 0;            ///< connections that may be served at once
    std::list<Session*> waiting = {};  ///< those without a request, which may be closed for others; longest first
    ModelList model_list = {};
    std::shared_ptr<serve::Responses> responses = {};  ///< made with the rest of this, which it uses
    std::shared_ptr<batches::Store> batch_store = {};
    std::shared_ptr<batches::Runner> batch_runner = {};
    Telemetry telemetry = {};
    std::shared_ptr<spans::Exporter> spans = {};  ///< null: none are sent
    std::uint64_t bytes_being_sent = 0;           ///< to /v1/files
    bool draining = false;                        ///< no new requests are taken
    std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

}  // namespace sutazai::http
