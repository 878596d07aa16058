#!/usr/bin/env python3
"""Runs workloads on sutazai and on llama-server from the same llama.cpp source, in turns, and prints the ratios.

Each turn starts a fresh server, so every run is cold. The turns go A B B A A B B A ..., and the ratio is that of the
medians, because absolute figures drift. The whole result, flags included, goes to bench/results/<date>.json.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile

import servers
import workloads
from words import TextSource

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


OTHER_SELF = "sutazai --against"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this workload; repeatable")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side per workload (default 3)")
    parser.add_argument("--sutazai", metavar="FILE", help="our binary (default build/release/sutazai, built first)")
    parser.add_argument("--loadgen", metavar="FILE", help="the load generator (default from build/release)")
    parser.add_argument("--peer", metavar="FOLDER", help="folder with llama-server (default: bench/peer.sh builds it)")
    parser.add_argument("--side", choices=["both", "sutazai", "llama-server"], default="both")
    parser.add_argument("--against", action="append", default=[], metavar="NAME=VALUE",
                        help="compare with ourselves under this setting, not with llama-server; repeatable")
    parser.add_argument("--against-binary", metavar="FILE",
                        help="compare with this binary of ours, of an earlier commit say, not with llama-server")
    parser.add_argument("--text", metavar="FILE", help="take prompts from this text instead of generated words")
    parser.add_argument("--models", metavar="FOLDER", help="where synthetic models are kept (default build/bench-models)")
    parser.add_argument("--output", metavar="FILE", help="default bench/results/<date>.json")
    parser.add_argument("--list", action="store_true", help="name the workloads and stop")
    return parser.parse_args()


class Bench:
    """Binaries, models and scratch space for one go. Of ours against ours, `against` and `against_binary` say how the
    other differs."""

    def __init__(self, options, scratch, against=(), against_binary=None):
        self.scratch = scratch
        self.logs = os.path.join(ROOT, "build", "bench-logs")
        self.models = options.models or os.path.join(ROOT, "build", "bench-models")
        os.makedirs(self.logs, exist_ok=True)
        os.makedirs(self.models, exist_ok=True)
        if not (options.sutazai and options.loadgen):
            build = [os.path.join(ROOT, "scripts", "build.sh"), "release", "sutazai", "sutazai-loadgen"]
            subprocess.run(build, check=True, stdout=sys.stderr)
        self.sutazai = os.path.abspath(options.sutazai or os.path.join(ROOT, "build/release/sutazai"))
        self.loadgen = os.path.abspath(
            options.loadgen or os.path.join(ROOT, "build/release/bench/loadgen/sutazai-loadgen"))
        self.with_ourselves = bool(against or against_binary)
        self.against = dict(setting.split("=", 1) for setting in against)
        self.other_binary = os.path.abspath(against_binary or self.sutazai)
        self.llama_server = None
        if options.side != "sutazai" and not self.with_ourselves:
            folder = options.peer or subprocess.run([os.path.join(HERE, "peer.sh")], check=True, text=True,
                                                    stdout=subprocess.PIPE).stdout.strip()
            self.llama_server = os.path.join(os.path.abspath(folder), "llama-server")

    def model(self, preset):
        path = os.path.join(self.models, f"{preset}.gguf")
        # A newer binary may make another model of the same name.
        if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(self.sutazai):
            print(f"making {path}", file=sys.stderr)
            subprocess.run([self.sutazai, "model", "synth", "--preset", preset, "--output", path], check=True,
                           stdout=sys.stderr)
        return path

    def server(self, side, setup):
        if side == "llama-server":
            return servers.LlamaServer(self.llama_server, setup, self.logs)
        if side == OTHER_SELF:
            return servers.Sutazai(self.other_binary, setup, self.logs, self.against)
        return servers.Sutazai(self.sutazai, setup, self.logs)

    def measure(self, server, lines, concurrency):
        """One run of the load generator against a running server: its report."""
        workload_file = os.path.join(self.scratch, "workload.jsonl")
        report_file = os.path.join(self.scratch, "report.json")
        with open(workload_file, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        subprocess.run([self.loadgen, workload_file, "--port", str(server.port), "--concurrency", str(concurrency),
                        "--pid", str(server.pid), "--output", report_file], check=True)
        with open(report_file, encoding="utf-8") as file:
            report = json.load(file)
        if report["failed"]:
            first = next(each["error"] for each in report["each"] if "error" in each)
            raise RuntimeError(f"{report['failed']} of {report['requests']} requests failed; the first: {first}")
        return report


def turns(sides, rounds):
    """A B B A A B B A ...: drift of the machine hits both sides alike."""
    for number in range(rounds):
        yield from sides if number % 2 == 0 else reversed(sides)


def run_workload(bench, workload, sides, rounds, source):
    setup = servers.Setup(bench.model(workload.model), workload.parallel, workload.context)
    lines = workload.lines(source)
    expected = sum(line["body"]["max_tokens"] for line in lines)
    result = {"name": workload.name, "about": workload.about, "requests": len(lines),
              "concurrency": workload.concurrency, "sampling": sampling(lines), "sides": {}}
    for side in turns(sides, rounds):
        with bench.server(side, setup) as server:
            report = bench.measure(server, lines, workload.concurrency)
            record = result["sides"].setdefault(side, {**server.describe(), "runs": []})
        if report["completion_tokens"] != expected:
            raise RuntimeError(f"{side} made {report['completion_tokens']} tokens, not {expected}")
        figures = {measure.name: measure.of(report) for measure in workload.measures}
        print(f"  {workload.name}  {side}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()),
              file=sys.stderr)
        record["runs"].append({"figures": figures, **{key: value for key, value in report.items() if key != "each"}})
    result["measures"] = [compare(measure, result["sides"]) for measure in workload.measures]
    return result


def sampling(lines):
    body = lines[0]["body"]
    return {key: body[key] for key in ("temperature", "max_tokens", "ignore_eos")}


def compare(measure, sides):
    row = {"measure": measure.name, "bar": measure.bar, "higher_is_better": measure.higher_is_better}
    for side, record in sides.items():
        row[side] = statistics.median(run["figures"][measure.name] for run in record["runs"])
    if len(sides) == 2:
        ours, other = (row[side] for side in sorted(sides, key=lambda side: side != "sutazai"))
        row["ratio"] = ours / other
        if "llama-server" in sides:
            row["passes"] = measure.passes(row["ratio"])
    return row


def print_table(results, sides):
    heads = ("workload", "measure", *sides, "ratio", "bar", "")
    rows = [heads]
    for result in results:
        for row in result["measures"]:
            sign = ">=" if row["higher_is_better"] else "<="
            rows.append((
                result["name"], row["measure"],
                *(f"{row[side]:.4g}" for side in sides),
                f"{row['ratio']:.3f}" if "ratio" in row else "-",
                f"{sign} {row['bar']:.3g}" if row["bar"] is not None else "",
                {True: "pass", False: "FAIL", None: ""}[row.get("passes")]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def machine():
    cpu = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "")
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform(), "load_before": os.getloadavg()}


def write_results(path, content):
    path = path or os.path.join(HERE, "results", datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S") + ".json")
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    print(f"\nwritten to {os.path.relpath(path)}")


def main():
    options = parse_arguments()
    chosen = workloads.named(options.only)
    if options.list:
        for workload in chosen:
            print(f"{workload.name:18} {workload.about}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    other = OTHER_SELF if options.against or options.against_binary else "llama-server"
    sides = ["sutazai", other] if options.side == "both" else [options.side]
    content = {"machine": machine(), "rounds": options.rounds, "text": options.text,
               "against": options.against, "against_binary": options.against_binary, "workloads": []}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = Bench(options, scratch, options.against, options.against_binary)
        for workload in chosen:
            content["workloads"].append(run_workload(bench, workload, sides, options.rounds, TextSource(options.text)))
    print_table(content["workloads"], sides)
    write_results(options.output, content)
    failed = [row for result in content["workloads"] for row in result["measures"] if row.get("passes") is False]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
