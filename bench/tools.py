#!/usr/bin/env python3
"""What tools cost. A scripted model says what it is told to (`sutazai model synth --preset scripted`), so that its
answers cost next to nothing and what is left is the server's own work.

start: a chat with three tools, warm, against the same prompt written out by hand: what the request's JSON, the rendering
of the tools and the kept grammar and parser add to the time to the first token. One request at a time, the two kinds in
turns; the medians are compared, and the whole difference counts as the preparation's.
stream: a tool call of 4,000 tokens, streamed, against the same text streamed as plain content, in turns; processor time
per token of server and engine together, which a busy machine lengthens less than the time on the clock.
"""

import argparse
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).parents[1]
MOST_START_MS = 1.0
MOST_STREAM = 1.05
N_TOKENS = int(os.environ.get("N_TOKENS", "4000"))
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"Looks up the {name} of a place, for some days", "parameters": {
        "type": "object", "properties": {
            "place": {"type": "string", "description": "A town or an address"},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "unit": {"type": "string", "enum": ["metric", "imperial"]}}, "required": ["place"]}}}
    for name in ("weather", "traffic", "tides")
]  # fmt: skip
SCRIPTS = {
    "word": ["Yes"],
    "call": ["<tool_call>\n", '{"name": "weather", ', '"arguments": {"place": "', " lorem", " ipsum", " dolor", {"back": 3}],
}  # fmt: skip


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sutazai", default=str(ROOT / "build" / "release" / "sutazai"), help="the binary")
    parser.add_argument("--rounds", type=int, default=150, help="requests of each kind for start (default 150)")
    parser.add_argument("--streams", type=int, default=5, help="streams of each kind (default 5)")
    return parser.parse_args()


class Server:
    def __init__(self, binary: str, folder: pathlib.Path):
        (folder / "scripts.json").write_text(json.dumps(SCRIPTS))
        model = folder / "scripted.gguf"
        subprocess.run([binary, "model", "synth", "--preset", "scripted", "--scripts", folder / "scripts.json", "-o", model],
                       check=True)  # fmt: skip
        environment = {**os.environ, "SUTAZAI_HOME": str(folder / "home"), "THREADS": "1", "CONTEXT_TOKENS": "16384",
                       "OLLAMA_MODELS": "off", "HF_HUB_CACHE": "off"}  # fmt: skip
        self.process = subprocess.Popen([binary, "serve", "--port", "0", "--model", f"m={model}"], cwd=folder, env=environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        line = next(line for line in self.process.stdout if "listening on" in line)
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.connection = http.client.HTTPConnection("127.0.0.1", int(line.rsplit(":", 1)[1]))

    def post(self, body: dict) -> bytes:
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {data.decode()}")
        return data

    def ready(self):
        while True:
            self.connection.request("GET", "/ready")
            answer = self.connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
            time.sleep(0.05)


def body_of(key: str, **fields) -> dict:
    return {"model": "m", "messages": [{"role": "user", "content": f"Hello #{key}"}], "temperature": 0, **fields}


def seconds(server: Server, body: dict) -> float:
    begin = time.perf_counter()
    server.post(body)
    return time.perf_counter() - begin


def processor_seconds(server: Server) -> float:
    pids = [server.process.pid]
    pids += [int(pid) for pid in pathlib.Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()]
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def written_out(key: str, **fields) -> dict:
    """What the template writes of the tools, as a system message: the same tokens."""
    listed = "\n".join(json.dumps(tool) for tool in TOOLS)
    written = ("These functions may be called:\n<tools>\n" + listed + "\n</tools>\nA call is an object with \"name\" and "
               "\"arguments\" between <tool_call> and </tool_call>.")  # fmt: skip
    body = body_of(key, **fields)
    body["messages"].insert(0, {"role": "system", "content": written})
    return body


def measure_start(server: Server, rounds: int) -> float:
    plain = written_out("word", max_tokens=1)
    tools = body_of("word", max_tokens=1, tools=TOOLS)
    tokens = [json.loads(server.post(body))["usage"]["prompt_tokens"] for body in (plain, tools)]
    times: dict[str, list[float]] = {"plain": [], "tools": []}
    for _ in range(rounds):
        times["plain"].append(seconds(server, plain))
        times["tools"].append(seconds(server, tools))
    ms = {kind: 1000 * statistics.median(values) for kind, values in times.items()}
    added = ms["tools"] - ms["plain"]
    print(f"start: {ms['plain']:.2f} ms without ({tokens[0]} tokens), {ms['tools']:.2f} ms with three tools ({tokens[1]}): "
          f"{added:+.2f} ms (bar {MOST_START_MS})")  # fmt: skip
    return added


def measure_stream(server: Server, streams: int) -> float:
    plain = written_out("call", max_tokens=N_TOKENS, stream=True)
    tools = body_of("call", max_tokens=N_TOKENS, stream=True, tools=TOOLS)
    for body in (plain, tools):
        server.post(body)
    times: dict[str, list[float]] = {"plain": [], "tools": []}
    for _ in range(streams):
        for kind, body in (("plain", plain), ("tools", tools)):
            before = processor_seconds(server)
            server.post(body)
            times[kind].append(processor_seconds(server) - before)
    usual = {kind: statistics.median(values) / N_TOKENS for kind, values in times.items()}
    ratio = usual["tools"] / usual["plain"]
    print(f"stream: {1e6 * usual['plain']:.1f} us a token plain, {1e6 * usual['tools']:.1f} us in a call: "
          f"{ratio:.3f} x (bar {MOST_STREAM})")  # fmt: skip
    return ratio


def main() -> int:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(str(pathlib.Path(arguments.sutazai).resolve()), pathlib.Path(folder))
        try:
            server.ready()
            added = measure_start(server, arguments.rounds)
            ratio = measure_stream(server, arguments.streams)
        finally:
            server.process.terminate()
            server.process.wait()
    return 0 if added <= MOST_START_MS and ratio <= MOST_STREAM else 1


if __name__ == "__main__":
    sys.exit(main())
