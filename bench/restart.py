#!/usr/bin/env python3
"""What a restart costs, with cache artifacts, without them, and in llama-server.

    known-prompt   restart, then one request with a known system prompt of 2,000 tokens: time to its first token, against
                   llama-server started anew and asked the same
    cold-start     the same from the start of the process, with artifacts against without
    first-token    process start to the first token of a short prompt, page cache warm, against llama-server
    any-length     known prompts of 64 to 4,000 tokens: restored from artifacts against computed

Prints the columns of run.py and ends with 1 when a bar is missed. Everything goes to bench/results/<date>.json.
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time

import run
import servers
import workloads
from words import TextSource

PARTS = ["known-prompt", "cold-start", "first-token", "any-length"]
LENGTHS = [64, 128, 300, 700, 1500, 4000]
SYSTEM_WORDS = 1975  # with the template's tokens about 2,000


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=PARTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default=workloads.SHAPE_0_5B)
    for name in ("sutazai", "loadgen", "peer", "models", "output"):
        parser.add_argument(f"--{name}", help="as in run.py")
    return parser.parse_args()


class Cold:
    """A server that was not warmed up by anything; `started` is when its process was."""

    def __init__(self, server):
        self.server = server
        server._warm_up = lambda: None

    def __enter__(self):
        self.started = time.monotonic()
        self.server.__enter__()
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def first_token(self, messages):
        """When the first token of the answer was there."""
        body = {"model": servers.MODEL_NAME, "messages": messages, "max_tokens": 2, "ignore_eos": True, "temperature": 0,
                "stream": True, "stream_options": {"include_usage": True}}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=300)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {answer.read().decode()}")
        first = None
        self.cached = 0
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if first is None and any(choice["delta"].get("content") for choice in event["choices"]):
                first = time.monotonic()
            if event.get("usage"):
                self.cached = event["usage"].get("prompt_tokens_details", {}).get("cached_tokens", 0)
        connection.close()
        return first

    def ttft_ms(self, messages):
        sent = time.monotonic()
        return (self.first_token(messages) - sent) * 1000


class Restarts:
    def __init__(self, bench, preset, folder, source):
        self.bench = bench
        self.setup = servers.Setup(bench.model(preset), 4, 32768)
        self.folder = folder
        self.source = source

    def ours(self, artifacts=True):
        environment = {"CACHE_ARTIFACTS_DIR": self.folder} if artifacts else {"CACHE_ARTIFACT_BYTES": "0"}
        return Cold(servers.Sutazai(self.bench.sutazai, self.setup, self.bench.logs, environment))

    def peer(self):
        return Cold(servers.LlamaServer(self.bench.llama_server, self.setup, self.bench.logs))

    def chat(self, words, question):
        return [{"role": "system", "content": self.source.take(words, 7000 + words)},
                {"role": "user", "content": self.source.take(8, question)}]

    def learn(self, words):
        """One life of a server in which it meets the prompts; what it keeps is saved at its end."""
        with self.ours() as server:
            for question, n in enumerate(words):
                server.first_token(self.chat(n, 50 + question))


def row(workload, measure, ours, other, names, bar):
    ratio = statistics.median(ours) / statistics.median(other)
    return {"workload": workload, "measure": measure, names[0]: ours, names[1]: other, "ratio": ratio, "bar": bar,
            "passes": ratio <= bar, "names": names}


def known_prompt(restarts, rounds):
    restarts.learn([SYSTEM_WORDS])
    ours, theirs = [], []
    for side in run.turns(["sutazai", "llama-server"], rounds):
        with (restarts.ours() if side == "sutazai" else restarts.peer()) as server:
            time.sleep(0.5)
            took = server.ttft_ms(restarts.chat(SYSTEM_WORDS, 90))
            (ours if side == "sutazai" else theirs).append(took)
            print(f"  known-prompt  {side}: {took:.0f} ms, {server.cached} tokens from the cache", file=sys.stderr)
    return [row("known-prompt", "TTFT ms", ours, theirs, ("sutazai", "llama-server"), 0.1)]


def cold_start(restarts, rounds):
    restarts.learn([SYSTEM_WORDS])
    took = {True: [], False: []}
    for artifacts in run.turns([True, False], rounds):
        with restarts.ours(artifacts) as server:
            first = server.first_token(restarts.chat(SYSTEM_WORDS, 91))
            took[artifacts].append((first - server.started) * 1000)
            print(f"  cold-start  artifacts {artifacts}: {took[artifacts][-1]:.0f} ms", file=sys.stderr)
    return [row("cold-start", "start to token ms", took[True], took[False], ("artifacts", "without"), 1 - 0.76)]


def first_token(restarts, rounds):
    ours, theirs = [], []
    question = [{"role": "user", "content": restarts.source.take(8, 92)}]
    for side in run.turns(["sutazai", "llama-server"], rounds):
        with (restarts.ours() if side == "sutazai" else restarts.peer()) as server:
            took = (server.first_token(question) - server.started) * 1000
            (ours if side == "sutazai" else theirs).append(took)
            print(f"  first-token  {side}: {took:.0f} ms", file=sys.stderr)
    return [row("first-token", "start to token ms", ours, theirs, ("sutazai", "llama-server"), 0.5)]


def any_length(restarts, rounds):
    restarts.learn(LENGTHS)
    took = {(words, artifacts): [] for words in LENGTHS for artifacts in (True, False)}
    for artifacts in run.turns([True, False], rounds):
        with restarts.ours(artifacts) as server:
            time.sleep(0.5)
            for words in LENGTHS:
                took[words, artifacts].append(server.ttft_ms(restarts.chat(words, 93)))
    return [row("any-length", f"TTFT ms, {words} words", took[words, True], took[words, False], ("artifacts", "without"), 1.05)
            for words in LENGTHS]


def main():
    options = parse_arguments()
    options.side = "both"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `with` ends the servers
    # Polling often enough to tell starts apart.
    servers.POLL_S = 0.005
    parts = {"known-prompt": known_prompt, "cold-start": cold_start, "first-token": first_token, "any-length": any_length}
    rows = []
    with tempfile.TemporaryDirectory(prefix="sutazai-restart-") as scratch:
        bench = run.Bench(options, scratch)
        for part in options.only or PARTS:
            folder = os.path.join(scratch, "artifacts")
            shutil.rmtree(folder, ignore_errors=True)
            rows += parts[part](Restarts(bench, options.preset, folder, TextSource(None)), options.rounds)
    print(f"{'workload':14}{'measure':26}{'ours':>22}{'other':>22}{'ratio':>8}{'bar':>8}")
    for each in rows:
        one, other = (f"{statistics.median(each[name]):.0f} ({name})" for name in each["names"])
        print(f"{each['workload']:14}{each['measure']:26}{one:>22}{other:>22}{each['ratio']:8.3f}{each['bar']:8.2f}"
              f"  {'pass' if each['passes'] else 'FAIL'}")
    run.write_results(options.output, {"machine": run.machine(), "rounds": options.rounds, "rows": rows})
    return 0 if all(each["passes"] for each in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
