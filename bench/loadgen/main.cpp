#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "client.h"
#include "processes.h"
#include "report.h"
#include "workload.h"

/// sutazai-loadgen: sends a workload to a server on this machine and writes what it saw as JSON. One thread.
int main(int argc, char** argv) {
    namespace loadgen = sutazai::loadgen;
    std::string workload;
    std::string path = "/v1/chat/completions";
    std::string output;
    std::uint16_t port = 0;
    std::size_t concurrency = 1;
    int timeout_s = 600;
    std::vector<int> pids;

    CLI::App app("Sends the requests of a JSONL file to 127.0.0.1 and reports times and tokens as JSON");
    app.add_option("workload", workload,
                   R"(JSONL: {"body": {...}, "at_ms": 0, "label": "x", "path": "/v1/..."} a line)")
        ->required();
    app.add_option("--port", port, "server's port on 127.0.0.1")->required();
    app.add_option("--concurrency", concurrency, "requests under way at once, of those without at_ms")
        ->check(CLI::PositiveNumber);
    app.add_option("--path", path, "path for lines that have none");
    app.add_option("--timeout", timeout_s, "seconds until a request counts as failed")->check(CLI::PositiveNumber);
    app.add_option("--pid", pids, "processes whose CPU seconds, children included, are reported")->delimiter(',');
    app.add_option("--output", output, "file to write; standard output when not given");
    CLI11_PARSE(app, argc, argv);

    try {
        const auto requests = loadgen::read_workload(workload, path, port);
        const double cpu_before = loadgen::cpu_seconds(pids);
        const double own_before = loadgen::own_cpu_seconds();
        const auto run = loadgen::send_all(requests, port, concurrency, std::chrono::seconds(timeout_s));
        const double own_cpu = loadgen::own_cpu_seconds() - own_before;
        const double cpu = loadgen::cpu_seconds(pids) - cpu_before;
        auto report = loadgen::report(requests, run);
        report["server_cpu_s"] = cpu;
        report["client_cpu_s"] = own_cpu;
        const std::string text = boost::json::serialize(report) + "\n";
        if (output.empty()) {
            std::fputs(text.c_str(), stdout);
        } else if (!(std::ofstream(output) << text)) {
            throw std::runtime_error(fmt::format("{} could not be written", output));
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "sutazai-loadgen: {}\n", error.what());
        return 1;
    }
    return 0;
}
