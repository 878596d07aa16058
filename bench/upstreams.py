#!/usr/bin/env python3
"""What it costs to reach a model through us: one server has it, another serves it as an upstream, of each kind.

Streams are asked for in turn, directly and through the other server: when the first text came, and how long a token took
from there. Both servers run all the time, so the model is the same one. Prints the columns of run.py and ends with 1 when a
bar is missed. Everything goes to bench/results/<date>.json.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile

import run
import servers
import streams
import workloads
from words import TextSource

KINDS = ["ollama", "openai", "sutazai"]
SIDES = ["through", "direct"]
#: The most that the ratio may be.
BARS = {"TTFT ms": 1.1, "ms/token": 1.05}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21, help="pairs of streams for each kind")
    parser.add_argument("--preset", default=workloads.SHAPE_0_5B)
    parser.add_argument("--tokens", type=int, default=32)
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


class Front(servers.Sutazai):
    """Has no model of its own, and asks `port` by all kinds."""

    def __init__(self, binary, logs, port):
        super().__init__(binary, servers.Setup("", 4, 8192), logs)
        lines = [f'[models.{kind}]\nupstream = "{kind}+http://127.0.0.1:{port}"\nupstream_model = "{servers.MODEL_NAME}"\n'
                 for kind in KINDS]
        lines.append(f'[models.{servers.MODEL_NAME}]\nfrom = "{KINDS[0]}"\n')
        with open(os.path.join(self._home.name, "models.toml"), "w", encoding="utf-8") as file:
            file.write("".join(lines))

    def command(self):
        return [self._binary, "serve", "--host", "127.0.0.1", "--port", str(self.port)]


def stream(port, model, prompt, tokens):
    """Seconds until the first text, and from there for each token."""
    # Not ignore_eos, which an Ollama has no word for: an answer may end early.
    body = {**workloads.chat(prompt, tokens)["body"], "model": model, "temperature": 0}
    body.pop("ignore_eos", None)
    began, times, got = streams.timed(port, body)
    if len(times) < 2 or got < 2:
        raise RuntimeError(f"{len(times)} events with text, {got} tokens")
    return {"TTFT ms": (times[0] - began) * 1000, "ms/token": (times[-1] - times[0]) * 1000 / (got - 1)}


def main():
    options = parse_arguments()
    options.side = "sutazai"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    source = TextSource(None)
    results, figures = [], {}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        setup = servers.Setup(bench.model(options.preset), 4, 8192)
        with servers.Sutazai(bench.sutazai, setup, bench.logs) as remote, \
             Front(bench.sutazai, bench.logs, remote.port) as front:
            for number, kind in enumerate(KINDS):
                ends = {"through": (front.port, kind), "direct": (remote.port, servers.MODEL_NAME)}
                figures[kind] = {side: {name: [] for name in BARS} for side in SIDES}
                for turn, side in enumerate(run.turns(SIDES, options.rounds)):
                    # Each prompt is new to the server that computes it.
                    prompt = source.take(24, 1000 * number + turn)
                    for name, value in stream(*ends[side], prompt, options.tokens).items():
                        figures[kind][side][name].append(value)
                rows = []
                for name, bar in BARS.items():
                    through, direct = (statistics.median(figures[kind][side][name]) for side in SIDES)
                    rows.append({"measure": name, "through": through, "direct": direct, "ratio": through / direct,
                                 "bar": bar, "higher_is_better": False, "passes": through / direct <= bar})
                results.append({"name": f"upstream-{kind}", "measures": rows})
    run.print_table(results, SIDES)
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "figures": figures,
                                       "workloads": results})
    return 0 if all(row["passes"] for result in results for row in result["measures"]) else 1


if __name__ == "__main__":
    sys.exit(main())
