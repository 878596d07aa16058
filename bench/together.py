#!/usr/bin/env python3
"""Two models that stream at once on the same processors: one sutazai with both, against two llama-servers.

Each model has one stream of the same length; what counts is when both are done, and how long the longest wait for a next
token was. Prints the columns of run.py and ends with 1 when a bar is missed. Everything goes to bench/results/<date>.json.
"""

import argparse
import concurrent.futures
import contextlib
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time

import run
import servers
import streams
import workloads
from words import TextSource

TOKENS = 128
BARS = {"wall s": 0.5, "token gap p99 ms": 1.0}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default=workloads.SHAPE_0_5B)
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


class Both(servers.Sutazai):
    def __init__(self, binary, setup, logs, second):
        super().__init__(binary, setup, logs)
        self.second = second

    def command(self):
        return [*super().command(), "--model", f"second={self.second}"]


def stream(port, model, prompt):
    """When each event with text came, in seconds."""
    body = {**workloads.chat(prompt, TOKENS)["body"], "model": model}
    _, times, tokens = streams.timed(port, body)
    if tokens != TOKENS:
        raise RuntimeError(f"{tokens} tokens instead of {TOKENS}")
    return times


def measure(endpoints, source):
    """`endpoints`: (port, model) of the two."""
    for port, model in endpoints:  # loaded and warm
        stream(port, model, source.take(8, 1))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        began = time.monotonic()
        both = [pool.submit(stream, port, model, source.take(24, 2 + i)) for i, (port, model) in enumerate(endpoints)]
        times = [each.result() for each in both]
    gaps = sorted(b - a for one in times for a, b in zip(one, one[1:]))
    return {"wall s": max(one[-1] for one in times) - began,
            "token gap p99 ms": gaps[min(len(gaps) - 1, round(0.99 * len(gaps)))] * 1000}


def one_turn(bench, side, preset, second, source):
    setup = servers.Setup(bench.model(preset), 4, 8192)
    with contextlib.ExitStack() as stack:
        if side == "sutazai":
            server = stack.enter_context(Both(bench.sutazai, setup, bench.logs, second))
            endpoints = [(server.port, servers.MODEL_NAME), (server.port, "second")]
        else:
            endpoints = []
            for path in (setup.model, second):
                each = servers.LlamaServer(bench.llama_server, servers.Setup(path, 4, 8192), bench.logs)
                endpoints.append((stack.enter_context(each).port, servers.MODEL_NAME))
        return measure(endpoints, source)


def main():
    options = parse_arguments()
    options.side = "both"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    sides = ["sutazai", "llama-server"]
    figures = {side: {name: [] for name in BARS} for side in sides}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        second = os.path.join(scratch, "second.gguf")
        shutil.copyfile(bench.model(options.preset), second)
        for side in run.turns(sides, options.rounds):
            got = one_turn(bench, side, options.preset, second, TextSource(None))
            for name, value in got.items():
                figures[side][name].append(value)
            print(f"  together  {side}: " + ", ".join(f"{name} {value:.4g}" for name, value in got.items()), file=sys.stderr)
    rows = []
    for name, bar in BARS.items():
        ours, theirs = (statistics.median(figures[side][name]) for side in sides)
        rows.append({"measure": name, "sutazai": ours, "llama-server": theirs, "ratio": ours / theirs, "bar": bar,
                     "higher_is_better": False, "passes": ours / theirs <= bar})
    result = {"name": "together", "measures": rows}
    run.print_table([result], sides)
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "figures": figures,
                                       "workloads": [result]})
    return 0 if all(row["passes"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
