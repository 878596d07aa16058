#!/usr/bin/env python3
"""The warm set against llama-server's router mode: five models, room for three, and what their memory comes to.

    zipf-1.5, zipf-1.0   500 requests, Poisson arrivals, models drawn by Zipf's law: the share that finds its model warm
                         (also of what Belady's optimum finds on the same arrivals), and the time to the first token
    resident-memory      five models asked for in turn: room for three against room for five, then all are evicted

Prints the same columns as run.py and ends with 1 when a bar is missed. Everything goes to bench/results/<date>.json.
"""

import argparse
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import run
import servers
from words import TextSource

N_MODELS = 5
ROOM = 3
CONTEXT = 8192
PARALLEL = 8
MANAGE = "/api/v1/streaming/cache/manage"
MAX_TOKENS = 8


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=["zipf-1.5", "zipf-1.0", "resident-memory"])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--rate", type=float, default=4.0, help="mean requests per second (default 4)")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals")
    parser.add_argument("--preset", default="toy", help="shape of the five models (default toy)")
    parser.add_argument("--vocabulary", default="llama-spm",
                        help="their vocabulary, which is most of a small model's load (default llama-spm, 32,000 tokens)")
    parser.add_argument("--side", choices=["both", "sutazai", "llama-server"], default="both")
    parser.add_argument("--sutazai", metavar="FILE")
    parser.add_argument("--loadgen", metavar="FILE")
    parser.add_argument("--peer", metavar="FOLDER")
    parser.add_argument("--models", metavar="FOLDER")
    parser.add_argument("--output", metavar="FILE", help="default bench/results/<date>.json")
    return parser.parse_args()


# --- arrivals


@dataclasses.dataclass
class Arrival:
    at_s: float
    model: int


def zipf_arrivals(seed, exponent, n_requests, rate):
    source = random.Random(seed)
    weights = [1 / (rank + 1) ** exponent for rank in range(N_MODELS)]
    at, arrivals = 0.0, []
    for _ in range(n_requests):
        at += source.expovariate(rate)
        arrivals.append(Arrival(at, source.choices(range(N_MODELS), weights)[0]))
    return arrivals


def belady(models, room):
    """How many find their model warm when who evicts knows the future: what is asked for again last goes."""
    found, warm = 0, set()
    for now, model in enumerate(models):
        if model in warm:
            found += 1
            continue
        if len(warm) == room:
            rest = models[now:]
            warm.remove(max(warm, key=lambda one: rest.index(one) if one in rest else len(rest)))
        warm.add(model)
    return found


def name_of(model):
    return f"m{model + 1}"


def lines_for(arrivals):
    source = TextSource()
    for number, arrival in enumerate(arrivals):
        body = {
            "model": name_of(arrival.model), "messages": [{"role": "user", "content": source.take(12, number)}],
            "max_tokens": MAX_TOKENS, "ignore_eos": True, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True},
        }
        yield {"body": body, "at_ms": round(arrival.at_s * 1000)}


# --- servers


class Sutazai(servers.Sutazai):
    room = ROOM

    def command(self):
        return [self._binary, "serve", "--host", "127.0.0.1", "--port", str(self.port), "--models-dir", self.setup.model]

    def environment(self):
        return {**super().environment(), "MODEL_CACHE_SIZE": str(self.room), "CACHE_WARMUP_ON_STARTUP": "false"}

    def _warm_up(self):
        """Both begin cold."""

    def manage(self, action, **fields):
        return post(self.port, MANAGE, {"action": action, **fields})


class RoomForAll(Sutazai):
    room = N_MODELS


class Router(servers.LlamaServer):
    """One llama-server that starts another for each model: its least recently used one makes room."""

    def command(self):
        return [self._binary, "--host", "127.0.0.1", "--port", str(self.port), "--models-dir", self.setup.model,
                "--models-max", str(ROOM), "-c", str(self.setup.context), "-np", str(self.setup.parallel),
                "-t", str(servers.THREADS), "-tb", str(servers.THREADS)]

    def _warm_up(self):
        """Both begin cold."""


def post(port, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=servers.START_TIMEOUT_S) as answer:
        return json.load(answer)


def family_of(pid):
    """The process and all below it."""
    found = [pid]
    for parent in found:
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as file:
                found.extend(int(child) for child in file.read().split())
    return found


def resident_bytes(pid):
    """Of a server and its engines; pages that they share count once (PSS)."""
    total = 0
    for process in family_of(pid):
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return total


def model_folder(bench, options):
    """Five models of one shape and different weights, alone in a folder."""
    folder = os.path.join(bench.models, f"warmset-{options.preset}-{options.vocabulary}")
    os.makedirs(folder, exist_ok=True)
    for model in range(N_MODELS):
        path = os.path.join(folder, f"{name_of(model)}.gguf")
        if not os.path.exists(path):
            subprocess.run([bench.sutazai, "model", "synth", "--preset", options.preset, "--vocabulary",
                            options.vocabulary, "--seed", str(model + 1), "--name", name_of(model), "--output", path],
                           check=True, stdout=sys.stderr)
    return folder


# --- workloads


def row(measure, sides, bar=None, higher_is_better=True, of=None):
    """A line of the table. The bar is for ours / theirs, or for `of`, a figure of ours that stands for itself."""
    line = {"measure": measure, "bar": bar, "higher_is_better": higher_is_better, **sides}
    if of is not None:
        line["ratio"] = of
    elif len(sides) == 2:
        line["ratio"] = sides["sutazai"] / sides["llama-server"]
    if bar is not None and "ratio" in line:
        line["passes"] = line["ratio"] >= bar if higher_is_better else line["ratio"] <= bar
    return line


def run_zipf(bench, exponent, options, sides):
    arrivals = zipf_arrivals(options.seed, exponent, options.requests, options.rate)
    best = belady([arrival.model for arrival in arrivals], ROOM)
    lines = list(lines_for(arrivals))
    setup = servers.Setup(model_folder(bench, options), PARALLEL, CONTEXT)
    result = {"name": f"zipf-{exponent}", "requests": len(lines), "rate": options.rate, "seed": options.seed,
              "preset": options.preset, "vocabulary": options.vocabulary, "belady": best, "sides": {}, "measures": []}
    reports = {}
    for side in sides:
        server = Sutazai(bench.sutazai, setup, bench.logs) if side == "sutazai" else Router(
            bench.llama_server, setup, bench.logs)
        with server:
            reports[side] = bench.measure(server, lines, len(lines))
            result["sides"][side] = {**server.describe(), "ttft_ms": reports[side]["ttft_ms"]}
            if side == "sutazai":
                status = server.manage("status")
        print(f"  zipf-{exponent}  {side}: TTFT {reports[side]['ttft_ms']}", file=sys.stderr)
    if "sutazai" in sides:
        requests = sum(model["requests"] for model in status["models"])
        found = sum(model["found_warm"] for model in status["models"])
        if requests != len(lines):
            raise RuntimeError(f"{requests} requests were counted, not {len(lines)}")
        result["sides"]["sutazai"]["status"] = status
        share = found / requests
        bar = 0.85 if exponent == 1.5 else None
        result["measures"].append(row("found their model warm", {"sutazai": share}, bar, of=share))
        bar = 0.85 if exponent == 1.0 else None
        result["measures"].append(row("of Belady's optimum", {"sutazai": share}, bar, of=found / best))
    for share, bar in (("p50", None), ("p95", 1 / 3)):
        ttfts = {side: report["ttft_ms"][share] for side, report in reports.items()}
        result["measures"].append(row(f"TTFT {share} ms", ttfts, bar, higher_is_better=False))
    return result


def ask_each_in_turn(server):
    for model in range(N_MODELS):
        post(server.port, "/v1/chat/completions",
             {"model": name_of(model), "messages": [{"role": "user", "content": "Hello"}], "max_tokens": MAX_TOKENS,
              "ignore_eos": True})


def run_memory(bench, options):
    setup = servers.Setup(model_folder(bench, options), PARALLEL, CONTEXT)
    figures = {}
    for kind in (RoomForAll, Sutazai):
        with kind(bench.sutazai, setup, bench.logs) as server:
            # The first turn touches the server's own code; the base is what it takes after that with nothing warm.
            ask_each_in_turn(server)
            server.manage("evict", models=[name_of(model) for model in range(N_MODELS)])
            time.sleep(1.5)  # until a process stands by again, as it will when all are evicted
            base = resident_bytes(server.pid)
            ask_each_in_turn(server)
            time.sleep(0.5)  # engines on their way out
            asked = resident_bytes(server.pid)
            server.manage("evict", models=[name_of(model) for model in range(N_MODELS)])
            time.sleep(1.5)
            figures[kind.room] = {"base": base, "asked": asked, "evicted": resident_bytes(server.pid)}
    ours, everything = figures[ROOM], figures[N_MODELS]
    mib = 1 << 20
    return {"name": "resident-memory", "figures": figures, "measures": [
        row("MiB with room for 3 (of room for 5)", {"sutazai": ours["asked"] / mib}, 0.68, False,
            of=ours["asked"] / everything["asked"]),
        row("MiB after eviction (of the base)", {"sutazai": ours["evicted"] / mib}, 1.05, False,
            of=ours["evicted"] / ours["base"])]}


def print_table(results, sides):
    heads = ("workload", "measure", *sides, "ratio", "bar", "")
    rows = [heads]
    for result in results:
        for line in result["measures"]:
            sign = ">=" if line["higher_is_better"] else "<="
            rows.append((
                result["name"], line["measure"], *(f"{line[side]:.4g}" if side in line else "" for side in sides),
                f"{line['ratio']:.3f}" if "ratio" in line else "-",
                f"{sign} {line['bar']:.3g}" if line["bar"] is not None else "",
                {True: "pass", False: "FAIL", None: ""}[line.get("passes")]))
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(heads))]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    sides = ["sutazai", "llama-server"] if options.side == "both" else [options.side]
    chosen = options.only or ["zipf-1.5", "zipf-1.0", "resident-memory"]
    content = {"machine": run.machine(), "workloads": []}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        for name in chosen:
            if name.startswith("zipf"):
                content["workloads"].append(run_zipf(bench, float(name.removeprefix("zipf-")), options, sides))
            elif "sutazai" in sides:
                content["workloads"].append(run_memory(bench, options))
    print_table(content["workloads"], sides)
    run.write_results(options.output, content)
    failed = [line for result in content["workloads"] for line in result["measures"] if line.get("passes") is False]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
