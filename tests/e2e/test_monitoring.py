"""Metrics, health, request ids and the lines of the log: what whoever runs a server sees of it."""

import json
import os
import pathlib
import re
import subprocess

import pytest

import harness
from harness import wait_until

METRICS = "/api/v1/streaming/performance/metrics"
HEALTH = "/api/v1/streaming/health/advanced"
BATCH = "/api/v1/streaming/batch/process"
CACHE = "/api/v1/streaming/cache/manage"
GREEDY = {"temperature": 0, "max_tokens": 12}


@pytest.fixture(scope="module")
def watched(tmp_path_factory, toy, model_file):
    """A server with two models, room for one, which only this file asks."""
    other = f"other={model_file(2)}"
    with harness.running(tmp_path_factory.mktemp("watched"), "--model", toy, "--model", other,
                         MODEL_CACHE_SIZE="1", METRICS_VLLM_NAMES="true") as server:  # fmt: skip
        yield server


def stats_of(server, model="toy") -> dict:
    return server.client.get(server.url + METRICS).json()["performance_stats"][model]


def samples_of(text: str) -> dict[str, float]:
    """{name and labels: value} of Prometheus' text."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def scraped(server) -> dict[str, float]:
    answer = server.client.get(server.url + "/metrics")
    assert answer.status_code == 200, answer.text
    return samples_of(answer.text)


def log_lines(server, request_id: str) -> list[str]:
    return [line for line in server.log().splitlines() if f"request {request_id} " in line]


def test_the_specifications_json(watched):
    watched.chat("Hello", model="toy", **GREEDY)
    told = watched.client.get(watched.url + METRICS).json()
    assert list(told)[:3] == ["cache_status", "performance_stats", "system_info"]
    assert list(told["cache_status"])[:4] == ["total_models", "warmed_models", "cache_hit_rate", "total_cache_size_mb"]
    assert list(told["performance_stats"]["toy"])[:5] == [
        "total_requests", "avg_latency", "cache_hits", "cache_misses", "batch_efficiency"]  # fmt: skip
    assert set(told["system_info"]) == {
        "gpu_available", "device_preference", "active_batch_processors", "pending_batch_requests"}  # fmt: skip
    stats = told["performance_stats"]["toy"]
    for name in ("ttft_s", "itl_s", "queue_s", "e2e_s"):
        assert 0 < stats[name]["p50"] <= stats[name]["p95"] <= stats[name]["p99"], stats[name]
    assert stats["batch_size"]["mean"] > 0 and stats["loads"] >= 1


def test_counts_are_what_was_asked(watched):
    before = stats_of(watched) if "toy" in watched.client.get(watched.url + METRICS).json()["performance_stats"] else None
    assert before is not None
    prompt_tokens = generated = events = 0
    for number in range(5):
        answer = watched.chat(f"Question {number}", model="toy", ignore_eos=True, **GREEDY)
        prompt_tokens += answer.usage["prompt_tokens"]
        generated += answer.usage["completion_tokens"]
        events += len([chunk for chunk in answer.chunks if chunk])
    after = stats_of(watched)
    assert after["outcomes"]["length"] - before["outcomes"].get("length", 0) == 5
    assert after["e2e_s"]["count"] - before["e2e_s"]["count"] == 5
    assert after["ttft_s"]["count"] - before["ttft_s"]["count"] == 5
    assert after["request_prompt_tokens"] - before["request_prompt_tokens"] == prompt_tokens
    assert after["request_generation_tokens"] - before["request_generation_tokens"] == generated == 60
    assert after["itl_s"]["count"] - before["itl_s"]["count"] == events - 5
    seen = scraped(watched)
    assert seen['sutazai_generation_tokens_total{model_name="toy"}'] == after["request_generation_tokens"]
    assert seen['sutazai_time_to_first_token_seconds_count{model_name="toy"}'] == after["ttft_s"]["count"]
    assert seen['sutazai_inter_token_latency_seconds_sum{model_name="toy"}'] == pytest.approx(after["itl_s"]["sum"], abs=1e-5)


def test_prometheus_is_there_for_whoever_asks(watched):
    accepts = ["text/plain", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
               "application/openmetrics-text;version=1.0.0,text/plain;q=0.3"]  # fmt: skip
    for accept in accepts:
        answer = watched.client.get(watched.url + METRICS, headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "sutazai_num_requests_running" in answer.text
    for accept in ("application/json", "*/*", "text/html,application/xhtml+xml,*/*;q=0.8", ""):
        answer = watched.client.get(watched.url + METRICS, headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "application/json" and "cache_status" in answer.json()
    seen = scraped(watched)
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prefix_cache_queries_total",
                 "prefix_cache_hits_total", "time_to_first_token_seconds_count", "inter_token_latency_seconds_count",
                 "e2e_request_latency_seconds_count"):  # fmt: skip
        assert f'vllm:{name}{{model_name="toy",engine="0"}}' in seen, name
    assert any(name.startswith("vllm:cache_config_info{") and 'block_size="256"' in name for name in seen)


def test_what_models_do_is_counted(watched):
    before = scraped(watched)
    watched.chat("Hello", model="other", **GREEDY)
    watched.chat("Hello", model="toy", **GREEDY)
    seen = scraped(watched)

    def grown(name, model):
        return seen[f'{name}{{model_name="{model}"}}'] - before.get(f'{name}{{model_name="{model}"}}', 0)

    assert grown("sutazai_model_loads_total", "other") == 1
    assert grown("sutazai_model_evictions_total", "other") == 1, "there is room for one"
    assert grown("sutazai_model_evictions_total", "toy") == 1
    assert stats_of(watched, "other")["evictions"] == seen['sutazai_model_evictions_total{model_name="other"}']


def test_errors_and_clients_that_go_are_outcomes(watched):
    refused = watched.post("/v1/chat/completions", {"model": "none", "messages": harness.user("Hi")})
    assert refused.status_code == 404
    with watched.stream("Hello", model="toy", max_tokens=4000, ignore_eos=True) as response:
        next(response.iter_raw())
    wait_until("the cancelled one has ended", lambda: stats_of(watched)["outcomes"].get("cancelled", 0) >= 1)
    assert scraped(watched)['sutazai_requests_total{model_name="",outcome="not_found"}'] >= 1


def test_a_scrape_does_not_wait_for_an_engine(watched):
    watched.chat("Hello", model="toy", **GREEDY)
    engine = watched.only_engine()
    os.kill(engine, 19)  # SIGSTOP
    try:
        assert harness.mean_seconds(watched, "/metrics") < 0.05 * harness.SLOWDOWN
        assert watched.client.get(watched.url + HEALTH).status_code == 200
    finally:
        os.kill(engine, 18)


def test_switched_off_says_so(tmp_path, toy):
    with harness.running(tmp_path, "--model", toy, PERFORMANCE_MONITORING="false") as server:
        server.chat("Hello", **GREEDY)
        for path in (METRICS, "/metrics"):
            refused = server.client.get(server.url + path)
            assert refused.status_code == 403 and "PERFORMANCE_MONITORING=false" in refused.text
        assert server.client.get(server.url + HEALTH).json()["status"] == "healthy"


def test_metrics_are_for_whoever_has_a_key(tmp_path, toy):
    with harness.running(tmp_path, "--model", toy, API_KEYS="secret-key") as server:
        for path in (METRICS, "/metrics", HEALTH):
            assert server.client.get(server.url + path).status_code == 401
            assert server.client.get(server.url + path, headers={"Authorization": "Bearer secret-key"}).status_code == 200
        for path in ("/livez", "/readyz", "/health", "/ready"):
            assert server.client.get(server.url + path).status_code == 200


# --- health


def test_health_tells_of_everything(watched):
    watched.chat("Hello", model="toy", **GREEDY)
    told = watched.client.get(watched.url + HEALTH).json()
    assert told["status"] == "healthy" and told["reasons"] == []
    assert told["gpu_available"] is False and told["active_processors"] == 1
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", told["version"]) and told["uptime_s"] > 0
    assert told["devices"][0]["kind"] == "cpu" and told["devices"][0]["processors"] == os.cpu_count()
    assert told["memory"]["available_bytes"] > 0 and told["memory"]["models_bytes"] > 0
    assert {disk["folder"] for disk in told["disks"]} == {"home", "models", "artifacts"}
    assert all(0 < disk["free_bytes"] <= disk["bytes"] for disk in told["disks"])
    models = {model["name"]: model for model in told["models"]}
    assert models["toy"]["state"] == "warm" and models["toy"]["bytes"] > 0
    for path, word in (("/livez", "ok"), ("/readyz", "ready")):
        assert watched.client.get(watched.url + path).json()["status"] == word


def test_health_is_degraded_and_unhealthy_with_reasons(tmp_path, toy):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(64))
    with harness.running(tmp_path / "some", "--model", toy, "--model", f"broken={broken}",
                         CACHE_WARMUP_ON_STARTUP="false") as server:  # fmt: skip
        assert server.post("/v1/chat/completions", {"model": "broken", "messages": harness.user("Hi")}).status_code >= 500
        answer = server.client.get(server.url + HEALTH)
        assert answer.status_code == 200 and answer.json()["status"] == "degraded"
        assert "broken failed" in answer.json()["reasons"][0]
    # The demo model is there in any case, or a file of that name.
    with harness.running(tmp_path / "none", "--model", f"broken={broken}", "--model", f"sutazai-demo={broken}",
                         CACHE_WARMUP_ON_STARTUP="false") as server:  # fmt: skip
        for name in ("broken", "sutazai-demo"):
            asked = {"model": name, "messages": harness.user("Hi")}
            assert server.post("/v1/chat/completions", asked).status_code >= 500
        answer = server.client.get(server.url + HEALTH)
        assert answer.status_code == 503 and answer.json()["status"] == "unhealthy"
        assert answer.json()["reasons"]


def test_an_engine_that_died_shows(tmp_path, toy):
    with harness.running(tmp_path, "--model", toy) as server:
        server.chat("Hello", **GREEDY)
        os.kill(server.only_engine(), 9)

        def told():
            models = server.client.get(server.url + HEALTH).json()["models"]
            return [model for model in models if model.get("restarts")]

        assert "signal 9" in wait_until("the end is seen", told)[0]["last_crash"]
        server.chat("Hello", **GREEDY)
        assert scraped(server)['sutazai_engine_crashes_total{model_name="toy"}'] == 1


# --- request ids and the log


FAMILIES = {
    "/api/v1/streaming/chat/stream": {"messages": []},
    "/v1/chat/completions": {"messages": []},
    "/v1/messages": {"messages": [], "max_tokens": 1},
    "/api/chat": {"model": "toy", "messages": 7},
    "/v1/responses": {"input": 7},
    "/tokenize": {"content": {}},
    "/no/such/route": {},
}


@pytest.mark.parametrize("path", FAMILIES)
def test_errors_of_every_family_have_the_id(watched, path):
    answer = watched.post(path, FAMILIES[path], headers={"X-Request-Id": "trace-7/a:b.c"})
    assert answer.status_code >= 400
    assert answer.headers.get_list("X-Request-Id") == ["trace-7/a:b.c"]
    for wrong in ("a b", "x" * 129, "<script>", "ä".encode()):
        answer = watched.post(path, FAMILIES[path], headers={"X-Request-Id": wrong})
        assert re.fullmatch("req_[0-9a-f]{24}", answer.headers["X-Request-Id"]), "it gets one of ours"


def test_each_request_is_one_line_of_the_log(watched):
    prompt = "xylophone marmalade"
    answers = {
        "stream-1": lambda ids: watched.client.post(
            watched.url + harness.STREAM_PATH, headers=ids, json={"model": "toy", "messages": harness.user(prompt), **GREEDY}),
        "batch-1": lambda ids: watched.post(
            BATCH, {"model": "toy", "requests": [{"prompt": prompt}] * 3, **GREEDY}, headers=ids),
        "embed-1": lambda ids: watched.post("/v1/embeddings", {"model": "toy", "input": prompt}, headers=ids),
        "wrong-1": lambda ids: watched.post(
            "/v1/chat/completions", {"model": "no such", "messages": harness.user(prompt)}, headers=ids),
    }  # fmt: skip
    for request_id, ask in answers.items():
        assert ask({"X-Request-Id": request_id}).headers["X-Request-Id"] == request_id
        wait_until("the line is there", lambda: log_lines(watched, request_id))
        assert len(log_lines(watched, request_id)) == 1
    assert re.search(r"/chat/stream chat model=toy prompt_tokens=[1-9]\d* cached_tokens=\d+ tokens=\d+ "
                     r"model_s=\S+ queue_s=\S+ ttft_s=\S+ total_s=\S+ outcome=(stop|length)$",
                     log_lines(watched, "stream-1")[0])  # fmt: skip
    assert "embeddings model=toy" in log_lines(watched, "embed-1")[0]
    assert "model=no_such " in log_lines(watched, "wrong-1")[0], "a name cannot make up fields"
    assert log_lines(watched, "wrong-1")[0].endswith("outcome=invalid_argument")
    assert "xylophone" not in watched.log(), "prompts are nobody's business"


def test_prompts_are_logged_when_that_is_wanted(tmp_path, toy):
    with harness.running(tmp_path, "--model", toy, LOG_PROMPTS="true") as server:
        asked = {"model": "toy", "messages": harness.user("marzipan\nand plums"), **GREEDY}
        server.post("/v1/chat/completions", asked, headers={"X-Request-Id": "sweet"})
        wait_until("it is there", lambda: "prompt of sweet: user: marzipan\\nand plums" in server.log())


def test_what_another_server_fails_has_a_line_too(tmp_path, toy):
    remote = harness.Server(tmp_path / "remote", "--model", toy)
    try:
        remote.wait_for_ready()
        asked = {"model": "toy", "messages": harness.user("Hi"), **GREEDY}
        with harness.running(tmp_path / "front", UPSTREAMS=f"far=sutazai+{remote.url}", UPSTREAM_POLL_S="1",
                             CACHE_WARMUP_ON_STARTUP="false") as server:  # fmt: skip
            wait_until("the model is listed", lambda: "toy" in server.client.get(server.url + "/v1/models").text)
            assert server.post("/v1/chat/completions", asked, headers={"X-Request-Id": "good"}).status_code == 200
            remote.kill()
            assert server.post("/v1/chat/completions", asked, headers={"X-Request-Id": "bad"}).status_code >= 500
            wait_until("both lines are there", lambda: log_lines(server, "good") and log_lines(server, "bad"))
            assert "upstream=far" in log_lines(server, "good")[0]
            assert re.search(r"outcome=(upstream_failed|upstream_timeout)$", log_lines(server, "bad")[0])
            assert stats_of(server)["outcomes"]["length"] == 1
    finally:
        remote.kill()


# --- the demonstration script


ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = [
    r"SutazAI Advanced Features Demonstration",
    r"Testing Advanced Health Check",
    r"Advanced Health Status: healthy",
    r"   GPU Available: false",
    r"   Active Processors: [1-9]\d*",
    r"",
    r"Testing Cache Management  ",
    r"Cache Status:",
    r"   Total models: [1-9]\d*",
    r"   Warmed models: [1-9]\d*",
    r"   Cache hit rate: \d+\.\d%",
    r"",
    r"Testing Batch Processing",
    r"Batch processing completed in \d+\.\d\ds",
    r"   Success rate: 100\.0%",
    r"",
    r"Testing Streaming Chat",
    r"Streaming completed in \d+\.\ds with [1-9]\d* chunks",
]


def demonstrate(*arguments, **environment):
    return subprocess.run(["python3", "-I", str(ROOT / "scripts" / "test_advanced_features.py"), *arguments],
                          capture_output=True, text=True, timeout=60 * harness.SLOWDOWN,
                          env=harness.clean_environment(**environment))  # fmt: skip


def test_the_demonstration_prints_the_specifications_lines(watched):
    watched.chat("Hello", model="toy", **GREEDY)
    done = demonstrate("--url", watched.url + "/", "--model", "toy", "--max-tokens", "8")
    assert done.returncode == 0 and done.stderr == "", done
    lines = done.stdout.splitlines()
    assert len(lines) == len(SAMPLE), done.stdout
    for line, wanted in zip(lines, SAMPLE):
        assert re.fullmatch(wanted, line), (wanted, line)
    report = json.loads(demonstrate("--url", watched.url, "--model", "toy", "--max-tokens", "8", "--json").stdout)
    assert report["ok"] is True and report["problems"] == []
    assert report["streaming"]["chunks"] > 0 and report["batch"]["success_rate"] == 1.0


def test_the_demonstration_tells_what_is_wrong(tmp_path, toy, watched):
    nobody = demonstrate("--url", "http://127.0.0.1:1")
    assert nobody.returncode == 1 and "no server answers" in nobody.stderr
    wrong = demonstrate("--url", watched.url, "--model", "none", "--json")
    report = json.loads(wrong.stdout)
    assert wrong.returncode == 1 and report["ok"] is False and "404" in "".join(report["problems"])
    with harness.running(tmp_path, "--model", toy, API_KEYS="a-key", STREAMING_ENABLED="false") as server:
        locked = demonstrate("--url", server.url)
        assert locked.returncode == 1 and "--api-key" in locked.stderr
        half = demonstrate("--url", server.url, "--max-tokens", "8", SUTAZAI_API_KEY="a-key")
        assert half.returncode == 1 and half.stderr.count("\n") == 1 and "streaming: " in half.stderr
        assert "Success rate: 100.0%" in half.stdout
