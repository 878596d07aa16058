#!/usr/bin/env python3
"""What `sutazai create --quantize` costs, against llama-quantize built from the same source.

Both make Q4_K_M of the same F16 file with the same threads, in turns; ours also sums, verifies and describes what it has
made. Prints the columns of run.py and ends with 1 when the bar is missed. Peak resident memory is that of the largest
process of each, the mapped weights included. Everything goes to bench/results/<date>.json.
"""

import argparse
import glob
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import run
import workloads

BAR = 1.1


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default=workloads.SHAPE_0_5B)
    parser.add_argument("--quant", default="f16", choices=["f16", "f32"], help="of the weights that both begin with")
    parser.add_argument("--type", default="q4_k_m")
    parser.add_argument("--threads", type=int, default=2)
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


def measured(command, environment=None):
    """Seconds, and the peak resident memory in MiB of the largest process."""
    began = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command}: {errors.decode(errors='replace')[-2000:]}")
    return took, usage.ru_maxrss / 1024


class Quantising:
    def __init__(self, options, bench, scratch):
        self.options = options
        self.bench = bench
        self.scratch = scratch
        self.weights = os.path.join(bench.models, f"{options.preset}-{options.quant}.gguf")
        newer = not os.path.exists(self.weights) or os.path.getmtime(self.weights) < os.path.getmtime(bench.sutazai)
        if newer:
            subprocess.run([bench.sutazai, "model", "synth", "--preset", options.preset, "--quant", options.quant,
                            "--output", self.weights], check=True, stdout=sys.stderr)
        self.peer = os.path.join(os.path.dirname(bench.llama_server), "llama-quantize")

    def ours(self):
        home = os.path.join(self.scratch, "home")
        shutil.rmtree(home, ignore_errors=True)
        modelfile = os.path.join(self.scratch, "Modelfile")
        with open(modelfile, "w", encoding="utf-8") as file:
            file.write(f"FROM {self.weights}\n")
        figures = measured([self.bench.sutazai, "create", "made", "-f", modelfile, "-q", self.options.type],
                           {"SUTAZAI_HOME": home, "OLLAMA_MODELS": "off", "HF_HUB_CACHE": "off",
                            "THREADS": str(self.options.threads)})
        made = max(glob.glob(os.path.join(home, "store/blobs/sha256-*")), key=os.path.getsize)
        return *figures, os.path.getsize(made)

    def theirs(self):
        made = os.path.join(self.scratch, "theirs.gguf")
        figures = measured([self.peer, self.weights, made, self.options.type, str(self.options.threads)])
        size = os.path.getsize(made)
        os.remove(made)
        return *figures, size


def main():
    options = parse_arguments()
    options.side = "both"
    took, memory, sizes = ({"sutazai": [], "llama-quantize": []} for _ in range(3))
    with tempfile.TemporaryDirectory(prefix="sutazai-quantize-") as scratch:
        quantising = Quantising(options, run.Bench(options, scratch), scratch)
        for side in run.turns(["sutazai", "llama-quantize"], options.rounds):
            seconds, mebibytes, size = quantising.ours() if side == "sutazai" else quantising.theirs()
            took[side].append(seconds)
            memory[side].append(mebibytes)
            sizes[side].append(size)
            print(f"  {side}: {seconds:.1f} s, {mebibytes:.0f} MiB", file=sys.stderr)
    if {*sizes["sutazai"]} != {*sizes["llama-quantize"]}:
        print(f"the files differ in size: {sizes}", file=sys.stderr)
        return 1
    results = []
    for measure, figures, bar in [("seconds", took, BAR), ("peak RSS MiB", memory, None)]:
        medians = {side: statistics.median(values) for side, values in figures.items()}
        ratio = medians["sutazai"] / medians["llama-quantize"]
        results.append({"measure": measure, **medians, "each": figures, "ratio": ratio, "bar": bar,
                        "higher_is_better": False, "passes": None if bar is None else ratio <= bar})
    workload = f"{options.quant}-to-{options.type}"
    run.print_table([{"name": workload, "measures": results}], ["sutazai", "llama-quantize"])
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "preset": options.preset,
                                       "workload": workload, "rows": results})
    return 0 if results[0]["passes"] else 1


if __name__ == "__main__":
    sys.exit(main())
