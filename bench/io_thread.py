#!/usr/bin/env python3
"""Does the server's I/O thread ever wait? The latency of GET /health while the server does what could hold it.

Kinds of load: embeddings (answers of 1,024 vectors of 4,096 numbers, 46 MB of JSON), bodies (requests of 7 MB: one prompt,
a batch, a million token ids, all blanks), catalogue (lists and status over a folder of 5,000 models, /ready without a key)
and cold (a cold model after another out of that folder). Each runs alone first, which tells who is to blame, then all at
once, which is held against the bar. A prober asks for /health over one connection, a request every 5 ms; clients run with
a lower priority than the server, which they would otherwise take the processors from. Ends with 1 when the bar is missed.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import run
import servers

BAR_MS = 20.0
N_MODELS = 5000
BODY_BYTES = 7 << 20
PROBE_S = 0.005
EMBED = "embed"
WIDE = ["--layers", "1", "--embedding", "4096", "--heads", "32", "--kv-heads", "1", "--feed-forward", "32"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=[*KINDS, "all"], help="repeatable")
    parser.add_argument("--seconds", type=float, default=10, help="of the measurement with all loads (default 10)")
    for name in ("sutazai", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


class Server(servers.Sutazai):
    """With the chat model, the one that embeds, and a folder full of models."""

    def __init__(self, binary, setup, logs, embed, folder):
        super().__init__(binary, setup, logs, {"MODEL_CACHE_SIZE": "3", "READ_TIMEOUT_S": "60"})
        self.embed, self.folder = embed, folder

    def command(self):
        return [*super().command(), "--model", f"{EMBED}={self.embed}", "--models-dir", self.folder]


# --- clients, each in a process of its own

def ask(connection, method, path, body=None):
    """The status; the answer's body is read and dropped."""
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    buffer = bytearray(1 << 20)
    while answer.readinto(buffer):
        pass
    return answer.status


def embeddings(connection, _):
    body = json.dumps({"model": EMBED, "input": ["a"] * 1024})
    while True:
        yield ask(connection, "POST", "/v1/embeddings", body), (200,)


def bodies(connection, number):
    prompt = ("word " * (BODY_BYTES // 5)).strip()
    chat = {"model": servers.MODEL_NAME, "messages": [{"role": "user", "content": prompt}], "max_tokens": 1}
    ids = {"model": servers.MODEL_NAME, "prompt": [1000] * (BODY_BYTES // 6), "max_tokens": 1}
    batch = {"model": servers.MODEL_NAME, "max_tokens": 1,
             "requests": [{"prompt": prompt[:BODY_BYTES // 1100]} for _ in range(1000)]}
    blank = '{"model": "none", "prompt": "x"' + " " * BODY_BYTES + "}"
    asked = [("/v1/chat/completions", json.dumps(chat)), ("/v1/completions", json.dumps(ids)), ("/v1/completions", blank),
             ("/api/v1/streaming/batch/process", json.dumps(batch))]
    for path, body in asked:
        if len(body) > 8 << 20:
            raise RuntimeError(f"{path}: a body of {len(body)} bytes is over MAX_BODY_BYTES")
    while True:
        for path, body in asked[number:] + asked[:number]:
            yield ask(connection, "POST", path, body.encode()), (200, 400, 404)


def catalogue(connection, _):
    status = json.dumps({"action": "status"})
    while True:
        for method, path, body in (("GET", "/ready", None), ("GET", "/v1/models", None), ("GET", "/v1/models/m17", None),
                                   ("GET", "/api/v1/streaming/performance/metrics", None),
                                   ("POST", "/api/v1/streaming/cache/manage", status)):
            yield ask(connection, method, path, body), (200,)
            time.sleep(0.05)


def cold(connection, number):
    while True:
        for model in range(number, N_MODELS, 2):
            body = {"model": f"m{model}", "prompt": "a", "max_tokens": 1, "ignore_eos": True}
            yield ask(connection, "POST", "/v1/completions", json.dumps(body)), (200, 503)


KINDS = {"embeddings": embeddings, "bodies": bodies, "catalogue": catalogue, "cold": cold}
CLIENTS = {"embeddings": 1, "bodies": 2, "catalogue": 1, "cold": 1}


def client(kind, number, port, count, failure):
    os.nice(10)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        for status, allowed in KINDS[kind](connection, number):
            if status not in allowed:
                raise RuntimeError(f"{kind}: status {status}")
            with count.get_lock():
                count.value += 1
    except Exception as error:  # pylint: disable=broad-except
        failure.put(f"{kind}: {error!r}")


def probe(port, seconds, latencies):
    """Milliseconds of each GET /health."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    found = []
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            connection.sendall(request)
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"/health: {answer!r}")
            found.append((time.monotonic() - began) * 1000)
            time.sleep(PROBE_S)
    latencies.put(found)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * len(ordered)))]


def measure(port, kinds, seconds):
    failure, latencies = multiprocessing.Queue(), multiprocessing.Queue()
    counts = {kind: multiprocessing.Value("i", 0) for kind in kinds}
    clients = [multiprocessing.Process(target=client, args=(kind, number, port, counts[kind], failure), daemon=True)
               for kind in kinds for number in range(CLIENTS[kind])]
    for each in clients:
        each.start()
    try:
        deadline = time.monotonic() + 120
        while any(count.value == 0 for count in counts.values()):  # each kind is under way
            if not failure.empty():
                raise RuntimeError(failure.get())
            if time.monotonic() > deadline:
                raise RuntimeError(f"no answer yet to {[kind for kind, count in counts.items() if count.value == 0]}")
            time.sleep(0.05)
        before = {kind: count.value for kind, count in counts.items()}
        prober = multiprocessing.Process(target=probe, args=(port, seconds, latencies), daemon=True)
        prober.start()
        found = latencies.get(timeout=seconds + 120)
        prober.join()
        if not failure.empty():
            raise RuntimeError(failure.get())
    finally:
        for each in clients:
            each.kill()
            each.join()
    return {"p50 ms": percentile(found, 0.5), "p99 ms": percentile(found, 0.99), "max ms": max(found),
            "probes": len(found), "requests": {kind: count.value - before[kind] for kind, count in counts.items()}}


def fill(folder, model):
    """5,000 models of one file."""
    first = os.path.join(folder, "m0.gguf")
    with open(model, "rb") as source, open(first, "wb") as target:
        target.write(source.read())
    for number in range(1, N_MODELS):
        os.link(first, os.path.join(folder, f"m{number}.gguf"))


def main():
    options = parse_arguments()
    options.peer, options.side, options.loadgen = None, "sutazai", "none needed"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    if not options.sutazai:
        subprocess.run([os.path.join(run.ROOT, "scripts", "build.sh"), "release", "sutazai"], check=True, stdout=sys.stderr)
        options.sutazai = os.path.join(run.ROOT, "build/release/sutazai")
    parts = [part for part in ("idle", *KINDS, "all") if not options.only or part in options.only]
    figures = {}
    with tempfile.TemporaryDirectory(prefix="sutazai-bench-") as scratch, contextlib.ExitStack() as stack:
        bench = run.Bench(options, scratch)
        embed = os.path.join(scratch, "embed.gguf")
        subprocess.run([bench.sutazai, "model", "synth", "--preset", "toy", *WIDE, "-o", embed], check=True, stdout=sys.stderr)
        folder = os.path.join(scratch, "models")
        os.mkdir(folder)
        fill(folder, bench.model("toy"))
        setup = servers.Setup(bench.model("toy"), 8, 8192)
        server = stack.enter_context(Server(bench.sutazai, setup, bench.logs, embed, folder))
        for part in parts:
            kinds = {"idle": [], "all": list(KINDS)}.get(part, [part])
            got = figures[part] = measure(server.port, kinds, options.seconds if part == "all" else options.seconds / 2)
            print(f"  io-thread  {part}: " + ", ".join(f"{name} {value:.2f}" for name, value in got.items() if "ms" in name)
                  + "".join(f", {n} {kind}" for kind, n in got["requests"].items()), file=sys.stderr)
    if figures.get("idle", {}).get("p99 ms", 0) > BAR_MS / 4:
        print("  io-thread  the machine is busy with something else: even an idle server waits for a processor", file=sys.stderr)
    rows = [{"measure": f"/health p99 ms, {part}", "sutazai": got["p99 ms"], "bar": BAR_MS if part == "all" else None,
             "higher_is_better": False, "passes": got["p99 ms"] <= BAR_MS if part == "all" else None}
            for part, got in figures.items()]
    result = {"name": "io-thread", "measures": rows}
    run.print_table([result], ["sutazai"])
    run.write_results(options.output, {"machine": run.machine(), "figures": figures, "workloads": [result]})
    return 1 if any(row["passes"] is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
