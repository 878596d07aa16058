#!/usr/bin/env python3
"""Eight adapters (LoRA) on one model, requests for all of them at once, against llama-server with the same eight files.

Each request names one adapter; requests take turns over them. What counts is how many tokens a second all of them get, and
how much memory the processes take at the end. Prints the columns of run.py and ends with 1 when a bar is missed. Everything
goes to bench/results/<date>.json.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import statistics
import struct
import sys
import tempfile
import time

import run
import servers
import workloads
from words import TextSource

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "e2e"))
from gguf_aged import FLOAT32, STRING, Gguf, Tensor  # noqa: E402
from gguf_split import text_bytes  # noqa: E402

N_ADAPTERS = 8
BARS = {"tokens/s": (1.5, True), "RSS MiB": (1.1, False)}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default=workloads.SHAPE_0_5B)
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rank", type=int, default=16)
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


def some_numbers(count):
    """F16, of either sign, between 1/128 and 1/64."""
    out = bytearray(os.urandom(2 * count))
    out[1::2] = out[1::2].translate(bytes((byte & 0x83) | 8 << 2 for byte in range(256)))
    return memoryview(out)


def write_adapter(model, path, rank):
    """For all linear weights of the model's blocks, as convert_lora_to_gguf.py writes them."""
    out = Gguf.__new__(Gguf)
    out.pairs = {"general.architecture": model.pairs["general.architecture"],
                 "adapter.lora.alpha": struct.pack("<If", FLOAT32, float(rank))}
    for key, value in (("general.type", b"adapter"), ("adapter.type", b"lora")):
        out.pairs[key] = struct.pack("<I", STRING) + text_bytes(value)
    out.tensors = []
    for tensor in model.tensors:
        dimensions, columns, rows = struct.unpack_from("<IQQ", tensor.shape_and_type + bytes(8))
        if not tensor.name.startswith("blk.") or not tensor.name.endswith(".weight") or dimensions != 2:
            continue
        for half, shape in ((".lora_a", (columns, rank)), (".lora_b", (rank, rows))):
            out.tensors.append(Tensor(tensor.name + half, struct.pack("<IQQI", 2, *shape, 1),
                                      some_numbers(shape[0] * shape[1])))
    out.write(pathlib.Path(path))


class Ours(servers.Sutazai):
    def __init__(self, binary, setup, logs, adapters):
        super().__init__(binary, setup, logs)
        files = ", ".join(f'{{path = "{path}", name = "a{i}", scale = 0}}' for i, path in enumerate(adapters))
        with open(os.path.join(self._home.name, "models.toml"), "w", encoding="utf-8") as file:
            file.write(f"[models.{servers.MODEL_NAME}]\nadapters = [{files}]\n")

    @staticmethod
    def choice(adapter):
        return {"adapters": [{"name": f"a{adapter}"}]}


class Theirs(servers.LlamaServer):
    def __init__(self, binary, setup, logs, adapters):
        super().__init__(binary, setup, logs)
        self.adapters = adapters

    def command(self):
        files = [part for path in self.adapters for part in ("--lora", path)]
        return [*super().command(), *files, "--lora-init-without-apply"]

    @staticmethod
    def choice(adapter):
        return {"lora": [{"id": adapter, "scale": 1.0}]}


def ask(server, prompt, tokens, adapter):
    body = {**workloads.chat(prompt, tokens)["body"], "model": servers.MODEL_NAME, "stream": False}
    body.pop("stream_options", None)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    connection.request("POST", "/v1/chat/completions", json.dumps(body | server.choice(adapter)),
                       {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {text.decode()}")
    got = json.loads(text)["usage"]["completion_tokens"]
    if got != tokens:
        raise RuntimeError(f"{got} tokens instead of {tokens}")


def resident_mib(pid):
    """Of a process and those below it."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        own = next((int(line.split()[1]) for line in file if line.startswith("VmRSS")), 0) / 1024
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return own + sum(resident_mib(int(child)) for child in file.read().split())


def measure(server, options, source):
    for adapter in range(N_ADAPTERS):  # read once
        ask(server, source.take(8, adapter), 2, adapter)
    prompts = [source.take(48, 100 + i) for i in range(options.requests)]
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        began = time.monotonic()
        asked = [pool.submit(ask, server, prompt, options.tokens, i % N_ADAPTERS) for i, prompt in enumerate(prompts)]
        for each in asked:
            each.result()
        took = time.monotonic() - began
    return {"tokens/s": options.requests * options.tokens / took, "RSS MiB": resident_mib(server.pid)}


def main():
    options = parse_arguments()
    options.side = "both"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    sides = {"sutazai": Ours, "llama-server": Theirs}
    figures = {side: {name: [] for name in BARS} for side in sides}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch:
        bench = run.Bench(options, scratch)
        model = bench.model(options.preset)
        outline = Gguf(pathlib.Path(model))
        adapters = [os.path.join(scratch, f"adapter-{i}.gguf") for i in range(N_ADAPTERS)]
        for path in adapters:
            write_adapter(outline, path, options.rank)
        del outline
        setup = servers.Setup(model, options.at_once, 512 * options.at_once)
        for side in run.turns(list(sides), options.rounds):
            binary = bench.sutazai if side == "sutazai" else bench.llama_server
            with sides[side](binary, setup, bench.logs, adapters) as server:
                got = measure(server, options, TextSource(None))
            for name, value in got.items():
                figures[side][name].append(value)
            print(f"  adapters  {side}: " + ", ".join(f"{name} {value:.4g}" for name, value in got.items()), file=sys.stderr)
    rows = []
    for name, (bar, higher) in BARS.items():
        ours, theirs = (statistics.median(figures[side][name]) for side in sides)
        passes = ours / theirs >= bar if higher else ours / theirs <= bar
        rows.append({"measure": name, "sutazai": ours, "llama-server": theirs, "ratio": ours / theirs, "bar": bar,
                     "higher_is_better": higher, "passes": passes})
    result = {"name": "adapters", "measures": rows}
    run.print_table([result], list(sides))
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "figures": figures,
                                       "workloads": [result]})
    return 0 if all(row["passes"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
