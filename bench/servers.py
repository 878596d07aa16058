"""The two servers under test: how each is started, when it is ready, how it is ended."""

import ctypes
import dataclasses
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

START_TIMEOUT_S = 300
POLL_S = 0.05  # between two looks at whether a server is ready
THREADS = 2
MODEL_NAME = "bench"


@dataclasses.dataclass
class Setup:
    """What both servers are told alike. `context` is the KV cells in all; llama-server divides them among its slots."""

    model: str
    parallel: int
    context: int


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_with_parent():
    """In the child: SIGTERM when the benchmark dies in whatever way (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def get_status(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Server:
    """One running server process; use with `with`. Subclasses say how it is started."""

    name = ""
    ready_path = "/health"

    def __init__(self, binary, setup, log_folder, extra_env=None):
        self.setup = setup
        self.port = free_port()
        self.extra_env = dict(extra_env or {})
        self._binary = binary
        self._home = tempfile.TemporaryDirectory(prefix="sutazai-bench-")
        self._log_path = os.path.join(log_folder, f"{self.name}-{self.port}.log")
        self._process = None

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    @property
    def pid(self):
        return self._process.pid

    def describe(self):
        """Everything that decides how it ran, for the results."""
        return {"command": self.command(), "environment": {**self.environment(), **self.extra_env}}

    def __enter__(self):
        environment = {**os.environ, **self.environment(), **self.extra_env, "SUTAZAI_HOME": self._home.name}
        with open(self._log_path, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env=environment, cwd=self._home.name, preexec_fn=end_with_parent)
        try:
            self._wait_until_ready()
            self._warm_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._home.cleanup()

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while get_status(f"http://127.0.0.1:{self.port}{self.ready_path}") != 200:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}; see {self._log_path}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} was not ready after {START_TIMEOUT_S} s; see {self._log_path}")
            time.sleep(POLL_S)

    def _warm_up(self):
        """Touches the weights once; the prompt has nothing in common with any workload's."""
        body = {"model": MODEL_NAME, "messages": [{"role": "assistant", "content": "0"}], "max_tokens": 2}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/chat/completions",
                                         json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as answer:
            answer.read()


class Sutazai(Server):
    name = "sutazai"
    ready_path = "/ready"

    def command(self):
        return [self._binary, "serve", "--host", "127.0.0.1", "--port", str(self.port),
                "--model", f"{MODEL_NAME}={self.setup.model}"]

    def environment(self):
        return {"BATCH_SIZE": str(self.setup.parallel), "CONTEXT_TOKENS": str(self.setup.context),
                "THREADS": str(THREADS), "LOG_LEVEL": "warn"}


class LlamaServer(Server):
    name = "llama-server"

    def command(self):
        return [self._binary, "--host", "127.0.0.1", "--port", str(self.port), "-m", self.setup.model,
                "-c", str(self.setup.context), "-np", str(self.setup.parallel), "-t", str(THREADS), "-tb", str(THREADS)]
