#!/usr/bin/env python3
"""The scheduler held against itself.

    sharing        the shared-prefix workload with prefix sharing against without: processor time of a request
    changing-load  2, then 48, 4 and again 48 chats at once, BATCH_SIZE=4 and BATCH_SIZE_MAX=64: where the width of the
                   batch goes (read from the metrics), whether it comes to rest, and the tokens/s of the last phase
                   against the best of fixed widths on the same load

Prints the columns of run.py and ends with 1 when a bar is missed. Everything goes to bench/results/<date>.json.
"""

import argparse
import json
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.request

import run
import servers
import workloads
from words import TextSource

PARTS = ["sharing", "changing-load"]
# (chats at once, chats in all): about ten seconds each at the 0.5B shape on two cores.
PHASES = [(2, 16), (48, 144), (4, 24), (48, 144)]
TOKENS = 32
FIXED_WIDTHS = [8, 16, 32, 48]
CHANGES_AT_REST = 3  # one try of the next width, given up, and one change more
SHARING_BAR = 1 - 0.78
CHANGING_BAR = 0.95


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=PARTS)
    parser.add_argument("--rounds", type=int, default=3)
    for name in ("sutazai", "loadgen", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


class WidthLog:
    """Reads the width of the batch from the metrics, four times a second, while a load runs."""

    def __init__(self, port):
        self._url = f"http://127.0.0.1:{port}/api/v1/streaming/performance/metrics"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.widths = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _read(self):
        while not self._stop.wait(0.25):
            with urllib.request.urlopen(self._url, timeout=10) as answer:
                self.widths.append(json.load(answer)["performance_stats"][servers.MODEL_NAME]["batch_width"])


def changes(widths):
    return sum(before != after for before, after in zip(widths, widths[1:]))


def sharing(bench, rounds, source):
    workload = workloads.named(["shared-prefix-32"])[0]
    bench.against = {"PREFIX_SHARING": "false"}
    result = run.run_workload(bench, workload, ["sutazai", run.OTHER_SELF], rounds, source)
    rows = []
    for measure in result["measures"]:
        judged = measure["measure"].startswith("CPU")
        rows.append({"measure": measure["measure"], "ours": measure["sutazai"], "other": measure[run.OTHER_SELF],
                     "ratio": measure["ratio"], "sign": "<=", "bar": SHARING_BAR if judged else None,
                     "passes": measure["ratio"] <= SHARING_BAR if judged else None, "names": ("sharing", "without")})
    return rows, result


def phase(bench, server, number, source):
    at_once, chats = PHASES[number]
    lines = [workloads.chat(source.take(10, 1000 * number + i), TOKENS) for i in range(chats)]
    with WidthLog(server.port) as log:
        report = bench.measure(server, lines, at_once)
    return report["tokens_per_s"], log.widths


def changing_load(bench, rounds, source):
    setup = servers.Setup(bench.model(workloads.SHAPE_0_5B), 4, 16384)
    fixed = {width: [] for width in FIXED_WIDTHS}
    adaptive, traces = [], []
    for turn in range(rounds):
        with servers.Sutazai(bench.sutazai, setup, bench.logs, {"BATCH_SIZE_MAX": "64"}) as server:
            traces.append([])
            for number in range(len(PHASES)):
                rate, widths = phase(bench, server, number, source)
                traces[-1].append(widths)
                print(f"  changing-load  phase {number + 1}, {PHASES[number][0]} chats at once: {rate:.0f} tokens/s, width "
                      f"{' '.join(str(w) for i, w in enumerate(widths) if i == 0 or w != widths[i - 1])}", file=sys.stderr)
            adaptive.append(rate)
        for width in FIXED_WIDTHS if turn % 2 == 0 else reversed(FIXED_WIDTHS):
            environment = {"BATCH_SIZE": str(width), "BATCH_SIZE_MAX": str(width)}
            with servers.Sutazai(bench.sutazai, setup, bench.logs, environment) as server:
                fixed[width].append(phase(bench, server, len(PHASES) - 1, source)[0])
            print(f"  changing-load  fixed width {width}: {fixed[width][-1]:.0f} tokens/s", file=sys.stderr)
    best = max(fixed, key=lambda width: statistics.median(fixed[width]))
    ours, other = statistics.median(adaptive), statistics.median(fixed[best])
    restless = statistics.median(changes(trace[-1]) for trace in traces)
    rows = [{"measure": f"tokens/s, last phase (fixed: {best})", "ours": ours, "other": other, "ratio": ours / other,
             "sign": ">=", "bar": CHANGING_BAR, "passes": ours / other >= CHANGING_BAR, "names": ("adaptive", "fixed")},
            {"measure": "changes of width, last phase", "ours": restless, "other": 0, "ratio": None, "sign": "<=",
             "bar": CHANGES_AT_REST, "passes": restless <= CHANGES_AT_REST, "names": ("adaptive", "fixed")}]
    return rows, {"adaptive": adaptive, "fixed": fixed, "widths": traces}


def main():
    options = parse_arguments()
    options.peer, options.side = None, "sutazai"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    content = {"machine": run.machine(), "rounds": options.rounds, "parts": {}}
    table = [("workload", "measure", "", "", "ratio", "bar", "")]
    failed = False
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        for part in options.only or PARTS:
            started = time.monotonic()
            rows, content["parts"][part] = (sharing if part == "sharing" else changing_load)(
                bench, options.rounds, TextSource(None))
            content["parts"][part]["took_s"] = time.monotonic() - started
            for each in rows:
                failed = failed or each["passes"] is False
                table.append((part, each["measure"], f"{each['ours']:.4g} {each['names'][0]}",
                              f"{each['other']:.4g} {each['names'][1]}",
                              f"{each['ratio']:.3f}" if each["ratio"] is not None else "-",
                              f"{each['sign']} {each['bar']:.3g}" if each["bar"] is not None else "",
                              {True: "pass", False: "FAIL", None: ""}[each["passes"]]))
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    run.write_results(options.output, content)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
