#!/usr/bin/env python3
"""What a second model costs that has weights in common with one that is warm: WEIGHT_SHARING against none of it.

    variant    the same file with another context: time to the first token while the first is warm, and the memory of both
    retouched  another file with the same tensors (another template, say), out of the page cache and in it

Ours against ours in turns, a fresh server each time. Prints the columns of run.py and ends with 1 when a bar is missed.
Everything goes to bench/results/<date>.json.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time
import urllib.request

import run
import servers
import workloads

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "e2e"))
from gguf_aged import Gguf  # noqa: E402
from gguf_split import text_bytes  # noqa: E402

SIDES = ["shared", "apart"]
#: The most that `shared` may take of what `apart` takes.
BARS = {"variant TTFT ms": 1.1, "variant PSS MiB": 0.8, "retouched TTFT ms": 1.1, "retouched cold TTFT ms": 1.1}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default=workloads.SHAPE_0_5B)
    parser.add_argument("--model", help="a GGUF file in place of the preset")
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


def retouch(model, path):
    """The same tensors behind another head."""
    file = Gguf(pathlib.Path(model))
    file.pairs["general.name"] = file.pairs["general.name"][:4] + text_bytes(b"the same with another template")
    file.write(pathlib.Path(path))
    leave_page_cache(path)


def leave_page_cache(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def enter_page_cache(path):
    with open(path, "rb") as file:
        while file.read(16 << 20):
            pass


class Server(servers.Sutazai):
    """Models first and variant, of one file, and retouched; none is warm."""

    def __init__(self, side, bench, model, other, artifacts):
        super().__init__(bench.sutazai, servers.Setup(model, 4, 4096), bench.logs,
                         {"WEIGHT_SHARING": "true" if side == "shared" else "false", "CACHE_ARTIFACTS_DIR": artifacts,
                          "CACHE_WARMUP_ON_STARTUP": "false"})
        self._warm_up = lambda: None
        with open(os.path.join(self._home.name, "models.toml"), "w", encoding="utf-8") as file:
            file.write(f'[models.first]\nfrom = "{model}"\n[models.variant]\nfrom = "{model}"\ncontext = 2048\n'
                       f'[models.retouched]\nfrom = "{other}"\n')

    def post(self, path, body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def ttft_ms(self, model):
        began = time.monotonic()
        self.post("/v1/completions", {"model": model, "prompt": "Hello", "max_tokens": 1})
        return (time.monotonic() - began) * 1000

    def manage(self, action, **fields):
        return self.post("/api/v1/streaming/cache/manage", {"action": action, **fields})

    def models(self):
        return {model["name"]: model for model in self.manage("status")["models"]}

    def started_from(self, model):
        return (self.models()[model]["shared_weights"] or {}).get("started_from")

    def pss_mib(self, names):
        total = 0
        for pid in (self.models()[name]["pid"] for name in names):
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        return total / 1024


def learn(bench, model, other, artifacts):
    """A life of a server in which it sums the tensors of both files."""
    with Server("shared", bench, model, other, artifacts) as server:
        server.ttft_ms("first")
        server.ttft_ms("retouched")
        digests = pathlib.Path(artifacts) / "digests"
        deadline = time.monotonic() + 120
        while len(list(digests.glob("*.tensors"))) < 2:
            if time.monotonic() > deadline:
                raise RuntimeError("the tensors were not summed")
            time.sleep(0.5)


def measure(side, bench, model, other, artifacts):
    got = {}
    with Server(side, bench, model, other, artifacts) as server:
        enter_page_cache(model)
        server.ttft_ms("first")
        time.sleep(1)  # until another engine stands by
        got["variant TTFT ms"] = server.ttft_ms("variant")
        expected = "first" if side == "shared" else None
        if server.started_from("variant") != expected:
            raise RuntimeError(f"variant started from {server.started_from('variant')}, not {expected}")
        got["variant PSS MiB"] = server.pss_mib(["first", "variant"])
        server.manage("evict", models=["variant"])
        for measure_name, prepare in (("retouched cold TTFT ms", leave_page_cache), ("retouched TTFT ms", enter_page_cache)):
            prepare(other)
            time.sleep(1)
            got[measure_name] = server.ttft_ms("retouched")
            if server.started_from("retouched") != expected:
                raise RuntimeError(f"retouched started from {server.started_from('retouched')}, not {expected}")
            server.manage("evict", models=["retouched"])
    return got


def main():
    options = parse_arguments()
    options.side = "sutazai"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    figures = {side: {name: [] for name in BARS} for side in SIDES}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        model = options.model or bench.model(options.preset)
        other = os.path.join(scratch, "retouched.gguf")
        artifacts = os.path.join(scratch, "artifacts")
        retouch(model, other)
        learn(bench, model, other, artifacts)
        for side in run.turns(SIDES, options.rounds):
            got = measure(side, bench, model, other, artifacts)
            for name, value in got.items():
                figures[side][name].append(value)
            print(f"  siblings  {side}: " + ", ".join(f"{name} {value:.4g}" for name, value in got.items()), file=sys.stderr)
    rows = []
    for name, bar in BARS.items():
        shared, apart = (statistics.median(figures[side][name]) for side in SIDES)
        rows.append({"measure": name, "shared": shared, "apart": apart, "ratio": shared / apart, "bar": bar,
                     "higher_is_better": False, "passes": shared / apart <= bar})
    result = {"name": "siblings", "measures": rows}
    run.print_table([result], SIDES)
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "figures": figures,
                                       "workloads": [result]})
    return 0 if all(row["passes"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
