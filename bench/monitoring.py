#!/usr/bin/env python3
"""Do the metrics tell the truth, and what do they cost?

agreement: one server answers a workload of the load generator; what its metrics say afterwards is held against what the
load generator saw. Requests and tokens must be equal, TTFT and ITL p50 within 5 %, the sums within 1 %.
scrape: how long GET /metrics and performance/metrics take on an idle connection, with vLLM's names, and while streams run.
cost: tokens/s of --streams streams of the toy model with PERFORMANCE_MONITORING on and off, in turns.

Prints the columns of run.py and ends with 1 when a bar is missed. Everything goes to bench/results/<date>.json.
"""

import argparse
import http.client
import json
import signal
import statistics
import sys
import tempfile
import threading
import time

import run
import servers
import workloads
from words import TextSource

METRICS = "/api/v1/streaming/performance/metrics"
SIDES = ["on", "off"]
PARTS = ["agreement", "scrape", "cost"]
SCRAPE_BAR_MS = 1.0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=PARTS, help="repeatable")
    parser.add_argument("--streams", type=int, default=100, help="at once (default 100)")
    parser.add_argument("--rounds", type=int, default=6, help="pairs of runs for the cost (default 6)")
    parser.add_argument("--tokens", type=int, default=200, help="of each answer (default 200)")
    parser.add_argument("--preset", default="toy")
    for name in ("sutazai", "loadgen", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


class Server(servers.Sutazai):
    """Keeps the connection that metrics are asked over."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)  # opened when it is used

    def __exit__(self, *_):
        self.connection.close()
        super().__exit__()

    def get(self, path):
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}: {text.decode()}")
        return text

    def figures(self):
        return json.loads(self.get(METRICS))["performance_stats"][servers.MODEL_NAME]


def lines_of(options, source, n_requests):
    return [workloads.chat(source.take(12, number), options.tokens) for number in range(n_requests)]


def row(measure, value, other, bar, passes):
    return {"measure": measure, "metrics": value, "loadgen": other, "ratio": value / other if other else 1.0, "bar": bar,
            "higher_is_better": False, "passes": passes}


def compare(before, after, report):
    """What the metrics say against what the load generator saw. `before`: the warm-up's share."""
    def equal(name, value, seen):
        return row(name, value, seen, None, value == seen)

    def near(name, value, seen, share):
        return row(name, value, seen, 1 + share, abs(value - seen) <= share * seen)

    def grown(name, part=None):
        return after[name][part] - before[name][part] if part else after[name] - before[name]

    each = [one for one in report["each"] if "error" not in one]
    ttft_sum = sum(one["text_ms"][0] - one["sent_ms"] for one in each)
    itl_sum = sum(one["text_ms"][-1] - one["text_ms"][0] for one in each)
    gaps = sum(len(one["text_ms"]) - 1 for one in each)
    return [
        equal("requests", grown("e2e_s", "count"), report["requests"] - report["failed"]),
        equal("prompt tokens", grown("request_prompt_tokens"), report["prompt_tokens"]),
        equal("generated tokens", grown("request_generation_tokens"), report["completion_tokens"]),
        equal("gaps", grown("itl_s", "count"), gaps),
        near("TTFT p50 ms", after["ttft_s"]["p50"] * 1000, report["ttft_ms"]["p50"], 0.05),
        near("ITL p50 ms", after["itl_s"]["p50"] * 1000, report["itl_ms"]["p50"], 0.05),
        near("TTFT sum ms", grown("ttft_s", "sum") * 1000, ttft_sum, 0.01),
        near("ITL sum ms", grown("itl_s", "sum") * 1000, itl_sum, 0.01),
    ]


def agreement(bench, options, source):
    setup = servers.Setup(bench.model(options.preset), 16, 65536)
    with Server(bench.sutazai, setup, bench.logs) as server:
        before = server.figures()
        report = bench.measure(server, lines_of(options, source, 4 * options.streams), options.streams)
        return {"name": "agreement", "measures": compare(before, server.figures(), report)}, report["ttft_ms"]


def scrape_ms(server, path, n=200):
    times = []
    for _ in range(n):
        began = time.monotonic()
        server.get(path)
        times.append((time.monotonic() - began) * 1000)
    return statistics.median(times)


def scrape(bench, options, source):
    rows = []
    setup = servers.Setup(bench.model(options.preset), 16, 65536)
    for names in ("false", "true"):
        with Server(bench.sutazai, setup, bench.logs, {"METRICS_VLLM_NAMES": names}) as server:
            bench.measure(server, lines_of(options, source, 32), 16)
            with_names = " with vLLM's names" if names == "true" else ""
            for path in ("/metrics", METRICS):
                value = scrape_ms(server, path)
                rows.append({"measure": f"{path} ms{with_names}", "metrics": value, "bar": SCRAPE_BAR_MS,
                             "higher_is_better": False, "passes": value <= SCRAPE_BAR_MS})
            load = threading.Thread(target=bench.measure, args=(server, lines_of(options, source, 200), options.streams))
            load.start()
            busy = []
            while load.is_alive():
                busy.append(scrape_ms(server, "/metrics", 5))
                time.sleep(0.05)
            load.join()
            rows.append({"measure": f"/metrics ms{with_names}, while {options.streams} stream",
                         "metrics": statistics.median(busy), "bar": None, "higher_is_better": False, "passes": None})
    return {"name": "scrape", "measures": rows}


def cost(bench, options, source):
    setup = servers.Setup(bench.model(options.preset), options.streams, 65536)
    rates = {side: [] for side in SIDES}
    lines = lines_of(options, source, 4 * options.streams)
    for side in run.turns(SIDES, options.rounds):
        setting = {"PERFORMANCE_MONITORING": "true" if side == "on" else "false"}
        with servers.Sutazai(bench.sutazai, setup, bench.logs, setting) as server:
            rates[side].append(bench.measure(server, lines, options.streams)["tokens_per_s"])
        print(f"  cost  {side}: {rates[side][-1]:.1f} tokens/s", file=sys.stderr)
    on, off = (statistics.median(rates[side]) for side in SIDES)
    return {"name": "cost", "measures": [{"measure": f"tokens/s, {options.streams} streams", "on": on, "off": off,
                                          "ratio": on / off, "bar": 0.99, "higher_is_better": True,
                                          "passes": on / off >= 0.99}]}, rates


def main():
    options = parse_arguments()
    options.side, options.peer = "sutazai", None
    parts = [part for part in PARTS if not options.only or part in options.only]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    source = TextSource(None)
    results, figures = [], {}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        if "agreement" in parts:
            result, figures["ttft_ms"] = agreement(bench, options, source)
            results.append(result)
            run.print_table([result], ["metrics", "loadgen"])
        if "scrape" in parts:
            results.append(scrape(bench, options, source))
            run.print_table(results[-1:], ["metrics"])
        if "cost" in parts:
            result, figures["tokens_per_s"] = cost(bench, options, source)
            results.append(result)
            run.print_table([result], SIDES)
    run.write_results(options.output, {"machine": run.machine(), "figures": figures, "workloads": results})
    return 1 if any(one["passes"] is False for result in results for one in result["measures"]) else 0


if __name__ == "__main__":
    sys.exit(main())
