#include "status/prometheus.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <regex>
#include <string>
#include <vector>

namespace sutazai::status {
namespace {

using models::ModelState;
using models::ModelStatus;
using std::chrono::milliseconds;

class PrometheusText : public ::testing::Test {
  protected:
    PrometheusText() {
        ModelStatus warm;
        warm.name = "a \"b\"\\c";
        warm.state = ModelState::kWarm;
        warm.requests = 8;
        warm.found_warm = 7;
        warm.moves.loads = 2;
        warm.moves.evictions = 1;
        warm.stats.running = 3;
        warm.stats.waiting = 2;
        warm.waiting = 1;
        warm.stats.kv_cells = 1024;
        warm.stats.kv_cells_used = 256;
        warm.stats.prompt_tokens = 100;
        warm.stats.cached_tokens = 40;
        ModelStatus cold;
        cold.name = "never-asked-for";
        models_ = {warm, cold};
        serve::ModelMetrics& metrics = requests_[warm.name];
        for (const int ms : {3, 30, 30, 300}) metrics.ttft.observe(milliseconds(ms));
        metrics.e2e.observe(milliseconds(700));
        metrics.outcomes["stop"] = 5;
        metrics.generated_tokens = 55;
        requests_[""].outcomes["not_found"] = 2;
    }

    std::vector<ModelStatus> models_;
    serve::RequestMetrics requests_;
};

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST_F(PrometheusText, TellsOfModelsAndRequests) {
    const std::string text = prometheus_text({.models = models_, .requests = requests_, .version = "1.2.3"});
    const std::string name = R"(model_name="a \"b\"\\c")";
    for (const std::string& line : {
             std::string(R"(sutazai_build_info{version="1.2.3"} 1)"),
             std::string(R"(sutazai_models{state="cold"} 1)"),
             "# TYPE sutazai_num_requests_running gauge" + std::string(),
             "sutazai_num_requests_running{" + name + "} 3",
             "sutazai_num_requests_waiting{" + name + "} 3",
             "sutazai_kv_cache_usage_perc{" + name + "} 0.25",
             "sutazai_model_requests_total{" + name + R"(,found="warm"} 7)",
             "sutazai_model_requests_total{" + name + R"(,found="cold"} 1)",
             "sutazai_model_loads_total{" + name + "} 2",
             "sutazai_model_evictions_total{" + name + "} 1",
             "sutazai_generation_tokens_total{" + name + "} 55",
             "sutazai_requests_total{" + name + R"(,outcome="stop"} 5)",
             std::string(R"(sutazai_requests_total{model_name="",outcome="not_found"} 2)"),
             "# TYPE sutazai_time_to_first_token_seconds histogram" + std::string(),
             "sutazai_time_to_first_token_seconds_bucket{" + name + R"(,le="0.005"} 1)",
             "sutazai_time_to_first_token_seconds_bucket{" + name + R"(,le="0.04"} 3)",
             "sutazai_time_to_first_token_seconds_bucket{" + name + R"(,le="+Inf"} 4)",
             "sutazai_time_to_first_token_seconds_count{" + name + "} 4",
         }) {
        EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
    }
    EXPECT_EQ(text.find("never-asked-for"), std::string::npos) << "a catalogue of thousands says nothing";
    EXPECT_EQ(text.find("vllm:"), std::string::npos);
}

TEST_F(PrometheusText, HasTheNamesOfVllmWhenTheyAreWanted) {
    const std::string text = prometheus_text({.models = models_, .requests = requests_, .vllm_names = true});
    const std::string labels = R"(model_name="a \"b\"\\c",engine="0")";
    for (const std::string& line : {
             "vllm:num_requests_running{" + labels + "} 3",
             "vllm:num_requests_waiting{" + labels + "} 3",
             "vllm:kv_cache_usage_perc{" + labels + "} 0.25",
             "vllm:cache_config_info{" + labels + R"(,block_size="256",num_gpu_blocks="4"} 1)",
             "vllm:prefix_cache_queries_total{" + labels + "} 100",
             "vllm:prefix_cache_hits_total{" + labels + "} 40",
             "vllm:request_success_total{" + labels + R"(,finished_reason="stop"} 5)",
             "vllm:time_to_first_token_seconds_count{" + labels + "} 4",
             "vllm:e2e_request_latency_seconds_bucket{" + labels + R"(,le="0.8"} 1)",
         }) {
        EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
    }
    EXPECT_EQ(text.find(R"(vllm:inter_token_latency_seconds_bucket{)" + labels + R"(,le="0.0005"})"), std::string::npos)
        << "dashboards add up the buckets of many servers, which must be the same";
}

/// As scrapers read it: each family's lines are together, behind its HELP and TYPE.
TEST_F(PrometheusText, KeepsToTheFormat) {
    const std::string text = prometheus_text({.models = models_, .requests = requests_, .vllm_names = true});
    const std::regex sample(R"re([a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? [0-9.e+-]+|)re"
                            R"re(# (HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* [^\n]+)re");
    std::vector<std::string> families;
    std::size_t begin = 0;
    while (begin < text.size()) {
        const std::size_t end = text.find('\n', begin);
        ASSERT_NE(end, std::string::npos) << "the last line ends, too";
        const std::string line = text.substr(begin, end - begin);
        EXPECT_TRUE(std::regex_match(line, sample)) << line;
        if (line.starts_with("# TYPE ")) families.push_back(line.substr(7, line.find(' ', 7) - 7));
        begin = end + 1;
    }
    std::ranges::sort(families);
    EXPECT_EQ(std::ranges::adjacent_find(families), families.end());
    EXPECT_GT(families.size(), 40U);
}

}  // namespace
}  // namespace sutazai::status
