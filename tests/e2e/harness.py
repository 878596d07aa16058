"""Starts, watches and ends real servers; reads what they stream."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import httpx

BINARY = os.environ.get("SUTAZAI_BIN", "")

#: How much longer things may take than in an optimised build (sanitizers: several times).
SLOWDOWN = float(os.environ.get("E2E_SLOWDOWN", "1"))

#: The context of the model "endless", in tokens, as a setting's value.
ENDLESS = "131072"

STREAM_PATH = "/api/v1/streaming/chat/stream"
COMPLETIONS_PATH = "/v1/chat/completions"


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without any setting of the product, plus `more`."""
    kept = {"PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}
    ours = {name: value for name, value in os.environ.items() if name in kept}
    # The models of whoever runs the tests, and registries of the world.
    return ours | {"OLLAMA_MODELS": "off", "HF_HUB_CACHE": "off", "PULL_HOSTS": ""} | more


def wait_until(what: str, condition, seconds: float = 10.0):
    """The first true value of condition(), polled; fails naming `what` when there is none in time."""
    deadline = time.monotonic() + seconds * SLOWDOWN
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"after {seconds * SLOWDOWN:.0f} s still not so: {what}"
        time.sleep(0.01)


def command_line(pid: int) -> list[str]:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def engines_of(server: int, folder: pathlib.Path) -> list[int]:
    """Engine processes of a server, whoever their parent is by now: known by parent, process group or working folder."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or command_line(int(entry.name))[1:2] != ["engine"]:
            continue
        pid = int(entry.name)
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            ours = parent == server or os.getpgid(pid) == server or os.readlink(entry / "cwd") == str(folder)
        except OSError:
            continue
        if ours and is_running(pid):
            found.append(pid)
    return sorted(found)


def stands_by(pid: int) -> bool:
    """Whether an engine process waits to be told what to load; it takes another name when it is."""
    try:
        name = pathlib.Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False
    return "--standby" in command_line(pid) and not name.startswith("engine:")


@dataclasses.dataclass
class Answer:
    """One answer, streamed or not."""

    text: str
    finish_reason: str
    usage: dict
    events: list[dict] = dataclasses.field(default_factory=list)

    @property
    def chunks(self) -> list[str]:
        return [event["content"] for event in self.events if event["type"] == "chunk"]


def parse_sse(lines) -> "list[dict]":
    """Events of an SSE body given as an iterable of raw bytes; strict about framing and UTF-8."""
    return list(iterate_sse(lines))


def iterate_sse(pieces):
    """Yields each event's object (or "[DONE]") as soon as its blank line has arrived."""
    pending = b""
    for piece in pieces:
        pending += piece
        while b"\n\n" in pending:
            frame, pending = pending.split(b"\n\n", 1)
            if frame.startswith(b":"):  # a comment, which keeps idle connections open
                continue
            assert frame.startswith(b"data: "), frame
            assert b"\n" not in frame, f"more than one line in a frame: {frame!r}"
            payload = frame.removeprefix(b"data: ").decode("utf-8", errors="strict")
            yield payload if payload == "[DONE]" else json.loads(payload)
    assert pending == b"", f"the stream ended inside a frame: {pending!r}"


def mean_seconds(server: "Server", path: str) -> float:
    """What one of 20 GET requests takes."""
    begin = time.monotonic()
    for _ in range(20):
        assert server.client.get(server.url + path).status_code == 200
    return (time.monotonic() - begin) / 20


def user(content: str) -> list[dict]:
    return [{"role": "user", "content": content}]


class Server:
    """One `sutazai serve` in its own process group."""

    def __init__(
        self, folder: pathlib.Path, *arguments: str, host: str = "127.0.0.1", environment: dict[str, str] | None = None
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log_path = folder / "server.log"
        self.url = ""
        self._log = open(self.log_path, "wb")
        # Toy models gain nothing from a second thread, and lose much where threads wait for each other on a busy machine.
        settings = {"SUTAZAI_HOME": str(folder / "home"), "THREADS": "1", **(environment or {})}
        self.process = subprocess.Popen(
            [BINARY, "serve", "--host", host, "--port", "0", *arguments],
            cwd=folder,
            env=clean_environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._read_stdout, daemon=True)
        self._reader.start()
        self.client = httpx.Client(timeout=60 * SLOWDOWN)

    def _read_stdout(self) -> None:
        for line in self.process.stdout:
            match = re.search(rb"listening on (http://\S+)", line)
            if match and not self.url:
                self.url = match[1].decode()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for_port(self) -> "Server":
        def listening():
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log()}"
            return self.url

        wait_until("the server prints where it listens", listening, 20)
        return self

    def wait_for_ready(self) -> "Server":
        self.wait_for_port()

        def ready():
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log()}"
            return self.client.get(self.url + "/ready").status_code == 200

        wait_until("/ready answers 200", ready, 30)
        return self

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def engines(self) -> list[int]:
        """Those that have a model, or load one."""
        return [pid for pid in engines_of(self.pid, self.folder) if not stands_by(pid)]

    def standby(self) -> list[int]:
        return [pid for pid in engines_of(self.pid, self.folder) if stands_by(pid)]

    def only_engine(self) -> int:
        """The pid of the one engine that runs."""
        found = self.engines()
        assert len(found) == 1, f"expected one engine, found {found}"
        return found[0]

    def post(self, path: str, body, **arguments) -> httpx.Response:
        return self.client.post(self.url + path, json=body, **arguments)

    def stream(self, messages, **fields):
        """A context manager: the response of the SutazAI streaming route, its body not yet read."""
        body = {"messages": user(messages) if isinstance(messages, str) else messages, **fields}
        return self.client.stream("POST", self.url + STREAM_PATH, json=body)

    def chat(self, messages, **fields) -> Answer:
        """A whole streamed answer."""
        with self.stream(messages, **fields) as response:
            if response.status_code != 200:
                raise AssertionError(f"{response.status_code}: {response.read().decode()}")
            events = parse_sse(response.iter_raw())
        last = events[-1]
        assert last["type"] == "complete", events[-3:]
        text = "".join(event["content"] for event in events if event["type"] == "chunk")
        return Answer(text, last["finish_reason"], last["usage"], events)

    def settled_chat(self, messages, **fields) -> Answer:
        """The answer of a repetition. The first request computes its whole prompt, later ones start from what is kept
        of it; batches of another shape round differently, so only repetitions are alike to the bit."""
        self.chat(messages, **fields)
        return self.chat(messages, **fields)

    def stop(self) -> None:
        """Ends the server with SIGTERM and holds it to a clean end: exit code 0 and no engine left."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(30 * SLOWDOWN)
            left = engines_of(self.pid, self.folder)
            log = self.log()
            assert "Sanitizer" not in log, log
            assert code == 0, f"exit code {code}:\n{log}"
            assert left == [], f"engines outlive the server: {left}\n{log}"
        finally:
            self.kill()

    def kill(self) -> None:
        """Frees everything, whatever state it is in."""
        self.client.close()
        for pid in [self.pid, *engines_of(self.pid, self.folder)]:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)
        self._log.close()


@contextlib.contextmanager
def running(folder: pathlib.Path, *arguments: str, **environment: str):
    """A ready server, ended and held to a clean end afterwards."""
    server = Server(folder, *arguments, environment=environment)
    try:
        server.wait_for_ready()
        yield server
        server.stop()
    finally:
        server.kill()


def run_binary(*arguments: str, folder: pathlib.Path, environment: dict[str, str] | None = None, **options):
    """A finished `sutazai` command; stdout and stderr as text."""
    settings = {"SUTAZAI_HOME": str(folder / "home"), **(environment or {})}
    return subprocess.run(
        [BINARY, *arguments],
        cwd=folder,
        env=clean_environment(**settings),
        stdin=options.pop("stdin", subprocess.DEVNULL) if "input" not in options else None,
        capture_output=True,
        text=True,
        timeout=60 * SLOWDOWN,
        **options,
    )
