"""Programs that others have made for Ollama, as they are, against this server: Ollama's own command line, its client for
JavaScript, LangChain, LlamaIndex and llm. (Its client for Python is in test_ollama.py.)"""

import json
import pathlib
import re
import shutil
import socket
import subprocess

import httpx
import pytest

import harness
import registries
from ollama_store import Store

ROOT = pathlib.Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "clients"


@pytest.fixture(scope="session")
def clients() -> pathlib.Path:
    made = subprocess.run([ROOT / "scripts" / "clients.sh"], capture_output=True, text=True, timeout=900)
    assert made.returncode == 0, made.stderr
    return pathlib.Path(made.stdout.strip())


@pytest.fixture
def served(toy, tmp_path):
    with harness.running(tmp_path, "--model", toy) as server:
        yield server


def output_of(*command, **settings: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
                          env=harness.clean_environment(**settings))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def object_of(*command, **settings: str) -> dict:
    return json.loads(output_of(*command, **settings).splitlines()[-1])


class Ollama:
    """Ollama's command line; `home` is where it keeps its key."""

    def __init__(self, clients: pathlib.Path, url: str, home: pathlib.Path):
        self.program = clients / "bin" / "ollama"
        self.settings = {"OLLAMA_HOST": url, "HOME": str(home)}

    def __call__(self, *arguments: str) -> str:
        """What it prints, without what steers a terminal."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", output_of(self.program, *arguments, **self.settings))

    def fails(self, *arguments: str) -> str:
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=120, env=harness.clean_environment(**self.settings))  # fmt: skip
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr


@pytest.fixture
def ollama(clients, served, tmp_path) -> Ollama:
    return Ollama(clients, served.url, tmp_path)


def greedy(server, prompt: str, n: int = 16) -> str:
    body = {"model": "toy", "messages": harness.user(prompt), "options": {"temperature": 0, "num_predict": n}}
    return server.post("/api/chat", body | {"stream": False}).json()["message"]["content"]


def test_ollamas_command_line(ollama):
    assert re.search(r"^toy +[0-9a-f]{12} +\S+ \wB ", ollama("list"), re.M)
    shown = ollama("show", "toy")
    assert re.search(r"architecture +llama", shown) and re.search(r"quantization +\S+", shown)
    assert ollama("show", "toy", "--modelfile").startswith("FROM toy\n")
    assert "toy" in ollama("ps")
    assert ollama("--version").startswith("ollama version is 0.33")
    told = ollama("run", "toy", "Hello", "--keepalive", "10m", "--format", "json")
    assert told.lstrip().startswith("{")
    assert re.search(r"^toy .* \d+ minutes from now", ollama("ps"), re.M)
    ollama("stop", "toy")
    assert "toy" not in ollama("ps")
    assert "nobody" in ollama.fails("show", "nobody")


def test_ollamas_command_line_makes_and_removes_models(clients, served, ollama, toy, tmp_path):
    recipe = tmp_path / "Modelfile"
    recipe.write_text("FROM toy\nPARAMETER temperature 0\nPARAMETER num_predict 16\n"
                      'SYSTEM """Be brief."""\nTEMPLATE """Q: {{ .Prompt }}\nA:"""\n')  # fmt: skip
    ollama("create", "brief", "-f", str(recipe))
    recipe.write_text(f"FROM {toy.removeprefix('toy=')}\n")
    ollama("create", "me/sent:v1", "-f", str(recipe))
    ollama("cp", "brief", "copied")
    assert {"brief:latest", "copied:latest", "me/sent:v1", "toy"} <= set(re.findall(r"^(\S+) ", ollama("list"), re.M))
    raw = {"model": "toy", "prompt": "Q: Hello\nA:", "raw": True, "stream": False,
           "options": {"temperature": 0, "num_predict": 16}}  # fmt: skip
    expected = served.post("/api/generate", raw).json()["response"]
    assert ollama("run", "copied", "Hello").strip()[:40] == expected.strip()[:40], "where it breaks no line yet"
    ollama("rm", "brief", "copied")
    assert set(re.findall(r"^(\S+) ", ollama("list"), re.M)) & {"brief:latest", "copied:latest"} == set()
    assert "not found" in ollama.fails("rm", "brief")
    assert "does not lie in the model store" in ollama.fails("rm", "toy")


def test_ollamas_command_line_pulls_and_pushes(clients, model_file, tmp_path):
    with registries.registry(tmp_path / "registry") as host:
        store = Store(tmp_path / "home/store")
        store.put(f"{host}/library/tiny/v1", model_file())
        mirror = f"registry.ollama.ai=http://{host}"
        with harness.running(tmp_path, PULL_MIRRORS=mirror, PULL_PRIVATE_HOSTS=host) as server:
            ollama = Ollama(clients, server.url, tmp_path)
            ollama("push", f"{host}/library/tiny:v1", "--insecure")
            told = subprocess.run([ollama.program, "pull", "tiny:v1"], capture_output=True, text=True, timeout=60,
                                  env=harness.clean_environment(**ollama.settings))  # fmt: skip
            assert told.returncode == 0, told.stderr
            assert "success" in told.stderr, "its progress"
            assert "tiny:v1" in ollama("list")
            assert ollama("run", "tiny:v1", "Hello")
            assert "has no model" in ollama.fails("pull", "tiny:nothing")


def test_ollamas_client_for_javascript(clients, served):
    program = shutil.copy(PROGRAMS / "js_client.mjs", clients)  # Node looks for modules beside the program
    told = object_of("node", program, served.url, "toy")
    expected = greedy(served, "Hello")
    assert told["chat"] == told["streamed"] == told["generated"] == expected
    assert set(told["structured"]) >= {"n"}
    assert told["vectors"] == [128, 128]
    assert (set(told["listed"]), told["running"], told["family"]) == ({"toy", "sutazai-demo"}, ["toy"], "llama")
    assert told["version"].startswith("0.33")
    assert told["unknown"].startswith("404 ") and "nobody" in told["unknown"]
    assert told["aborted"] == "AbortError"


def test_langchain(clients, served):
    told = object_of(clients / "venv/bin/python", PROGRAMS / "langchain_client.py", served.url, "toy")
    expected = greedy(served, "Hello")
    assert told["invoked"] == told["streamed"] == told["awaited"] == told["completed"] == expected
    assert told["answer"] and told["done"] == "length"
    assert told["usage"]["output_tokens"] == 16
    assert told["structured"]["n"] <= 9
    assert told["vectors"] == [128, 128]
    assert "`nobody` not found" in told["unknown"] and "toy" in told["unknown"]


def test_llama_index(clients, served):
    told = object_of(clients / "venv/bin/python", PROGRAMS / "llama_index_client.py", served.url, "toy")
    expected = greedy(served, "Hello")
    for way in ("completed", "streamed", "chat", "chat_streamed", "awaited"):
        assert told[way] == expected, way
    assert 0 <= told["structured"]["n"] <= 9
    assert told["vectors"] == [128, 128]


def test_llm(clients, served, tmp_path):
    settings = {"OLLAMA_HOST": served.url, "LLM_USER_PATH": str(tmp_path)}
    llm = clients / "venv/bin/llm"
    assert "Ollama: ollama/toy" in output_of(llm, "models", **settings)
    asked = ["-m", "ollama/toy", "-o", "temperature", "0", "-o", "num_predict", "16", "Hello"]
    assert output_of(llm, *asked, **settings).rstrip("\n") == greedy(served, "Hello").rstrip("\n")
    assert output_of(llm, *asked, "--no-stream", **settings).rstrip("\n") == greedy(served, "Hello").rstrip("\n")


def test_ollamas_port(toy, tmp_path):
    """Programs that are told nothing look for Ollama there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with harness.running(tmp_path, "--model", toy, OLLAMA_COMPAT_PORT=str(port)) as server:
        own = httpx.get(server.url + "/api/tags").json()
        there = json.loads(output_of("curl", "-sS", f"http://127.0.0.1:{port}/api/tags"))
        assert there == own
        again = subprocess.run([harness.BINARY, "serve", "--port", "0", "--model", toy], capture_output=True, text=True,
                               env=harness.clean_environment(OLLAMA_COMPAT_PORT=str(port)), timeout=30)  # fmt: skip
        assert again.returncode == 1
        assert f"127.0.0.1:{port} cannot be listened on" in again.stderr and "OLLAMA_COMPAT_PORT" in again.stderr
