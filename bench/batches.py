#!/usr/bin/env python3
"""What a batch (/v1/batches) takes, and what it does to others.

throughput: the lines of a batch, from its order to its output, against the same requests sent at once over HTTP by a client
with 64 connections, to this server and to llama-server, which has no batches of its own. Each side is a fresh server, in
turns; tokens per second by the medians. Validation, durable results and the output file are in the batch's time.
beside: the gap between the tokens of a stream, and the time to its first one, beside a batch and alone, in turns on one
server.
"""

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
import urllib.request

import run
import servers
import streams
import workloads
from words import TextSource

BARS = {"http": 0.9, "llama-server": 1.0}
MOST_GAP = 2.0  # times the gap alone
MOST_TTFT_MS = 250  # more than alone
CONNECTIONS = 64


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lines", type=int, default=400)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--streams", type=int, default=7, help="streams of each kind for beside")
    parser.add_argument("--preset", default=workloads.TOY)
    parser.add_argument("--side", choices=("both", "sutazai"), default="both")
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


def call(port, path, body=None, content_type="application/json"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": content_type} if body else {})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return answer.read()


def upload(port, lines):
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    form = (b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n' + content + b"\r\n--b--\r\n")
    return json.loads(call(port, "/v1/files", form, "multipart/form-data; boundary=b"))["id"]


def order(port, file):
    body = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return json.loads(call(port, "/v1/batches", json.dumps(body).encode()))["id"]


def ended(port, batch):
    while True:
        state = json.loads(call(port, f"/v1/batches/{batch}"))
        if state["status"] not in ("validating", "in_progress", "finalizing", "cancelling"):
            return state
        time.sleep(0.02)


def requests_of(source, number, options):
    """Chats of which each eighth begins alike, as the lines of a batch do."""
    for index in range(options.lines):
        prompt = source.take(60, index % 8) + source.take(20, 1000 * number + index)
        yield workloads.chat(prompt, options.tokens)


def by_batch(port, requests, options):
    lines = [{"custom_id": str(index), "method": "POST", "url": "/v1/chat/completions", "body": {**each["body"], "stream": False}}
             for index, each in enumerate(requests)]
    for line in lines:
        line["body"].pop("stream_options", None)
    file = upload(port, lines)
    begin = time.monotonic()
    state = ended(port, order(port, file))
    took = time.monotonic() - begin
    if state["request_counts"]["completed"] != len(lines):
        raise RuntimeError(f"{state['status']}: {state['request_counts']}")
    tokens = state["usage"]["output_tokens"]
    if tokens != len(lines) * options.tokens:
        raise RuntimeError(f"{tokens} tokens")
    return tokens / took


def measure_throughput(bench, options, source):
    sides = ["batch", "http"] + (["llama-server"] if bench.llama_server else [])
    figures = {side: [] for side in sides}
    setup = servers.Setup(bench.model(options.preset), 32, 16384)
    for number, side in enumerate(run.turns(sides, options.rounds)):
        requests = list(requests_of(source, number, options))
        with bench.server("llama-server" if side == "llama-server" else "sutazai", setup) as server:
            if side == "batch":
                figures[side].append(by_batch(server.port, requests, options))
            else:
                report = bench.measure(server, requests, CONNECTIONS)
                figures[side].append(report["tokens_per_s"])
    medians = {side: statistics.median(values) for side, values in figures.items()}
    rows = []
    for side in sides[1:]:
        ratio = medians["batch"] / medians[side]
        rows.append({"measure": f"tokens/s, {side}", "batch": medians["batch"], "other": medians[side], "ratio": ratio,
                     "bar": BARS[side], "higher_is_better": True, "passes": ratio >= BARS[side]})
    return {"name": "batch", "measures": rows, "figures": figures}


def stream(port, prompt):
    body = {**workloads.chat(prompt, 64)["body"], "model": servers.MODEL_NAME}
    began, times, _ = streams.timed(port, body)
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    return (times[0] - began) * 1000, statistics.median(gaps) * 1000


def measure_beside(bench, options, source):
    figures = {kind: {"TTFT ms": [], "gap ms": []} for kind in ("batch", "other")}
    setup = servers.Setup(bench.model(options.preset), 8, 65536)
    with bench.server("sutazai", setup) as server:
        for number in range(options.streams):
            lines = [{"custom_id": str(index), "method": "POST", "url": "/v1/chat/completions",
                      "body": {"model": servers.MODEL_NAME, "messages": [{"role": "user", "content": source.take(40, index)}],
                               "max_tokens": 400, "ignore_eos": True}} for index in range(2000)]  # fmt: skip
            for kind in ("other", "batch") if number % 2 == 0 else ("batch", "other"):
                batch = None
                if kind == "batch":
                    batch = order(server.port, upload(server.port, lines))
                    while json.loads(call(server.port, f"/v1/batches/{batch}"))["request_counts"]["completed"] == 0:
                        time.sleep(0.02)
                ttft, gap = stream(server.port, source.take(24, 5000 + number))
                figures[kind]["TTFT ms"].append(ttft)
                figures[kind]["gap ms"].append(gap)
                if batch:
                    call(server.port, f"/v1/batches/{batch}/cancel", b"{}")
                    ended(server.port, batch)
    rows = []
    for name in ("TTFT ms", "gap ms"):
        beside, alone = (statistics.median(figures[kind][name]) for kind in ("batch", "other"))
        bar = MOST_GAP if name == "gap ms" else (alone + MOST_TTFT_MS) / alone
        rows.append({"measure": name, "batch": beside, "other": alone, "ratio": beside / alone, "bar": bar,
                     "higher_is_better": False, "passes": beside / alone <= bar})
    return {"name": "beside", "measures": rows, "figures": figures}


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    source = TextSource(None)
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        results = [measure_throughput(bench, options, source), measure_beside(bench, options, source)]
    run.print_table(results, ["batch", "other"])
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "workloads": results})
    return 0 if all(row["passes"] for result in results for row in result["measures"]) else 1


if __name__ == "__main__":
    sys.exit(main())
