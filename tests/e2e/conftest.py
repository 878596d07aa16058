import os
import pathlib
import subprocess

import pytest

import harness


def pytest_configure(config):
    if not os.access(harness.BINARY, os.X_OK):
        raise pytest.UsageError("SUTAZAI_BIN must name the sutazai binary to test, for example build/dev/sutazai")


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """model_file(seed): a toy model of random weights (2 layers, a small real tokenizer, a chat template).

    Full precision, because quantised kernels round differently with the shape of a batch, by enough to change which of
    two likely tokens is the greedy one.
    """
    folder = tmp_path_factory.mktemp("models")

    def make(seed: int = 1, arch: str = "llama", quant: str = "f32", context: int = 8192) -> pathlib.Path:
        path = folder / f"toy-{arch}-{quant}-{context}-{seed}.gguf"
        if not path.exists():
            arguments = ["--arch", arch, "--preset", "toy", "--quant", quant, "--seed", str(seed),
                         "--context", str(context), "--output", str(path)]  # fmt: skip
            made = harness.run_binary("model", "synth", *arguments, folder=folder)
            assert made.returncode == 0, made.stderr
            assert path.stat().st_size > 100_000
        return path

    return make


@pytest.fixture(scope="session")
def trained_file():
    """trained_file(name): the GGUF file of a trained model, "smollm2" or "gemma3" (scripts/test-models.sh)."""
    script = pathlib.Path(__file__).parents[2] / "scripts" / "test-models.sh"

    def find(name: str) -> pathlib.Path:
        fetched = subprocess.run([script, name], capture_output=True, text=True, timeout=280)
        assert fetched.returncode == 0, fetched.stderr
        return pathlib.Path(fetched.stdout.strip())

    return find


@pytest.fixture(scope="session")
def smollm2(trained_file) -> str:
    """The --model argument of a trained chat model (ChatML)."""
    return f"smollm2={trained_file('smollm2')}"


@pytest.fixture(scope="session")
def gemma3(trained_file) -> str:
    """The --model argument of a trained base model: a sliding window, no chat template."""
    return f"gemma3={trained_file('gemma3')}"


@pytest.fixture(scope="session")
def toy(model_file) -> str:
    """The --model argument of the usual toy model."""
    return f"toy={model_file()}"


@pytest.fixture(scope="session")
def endless(model_file) -> str:
    """The --model argument of a model whose context takes many seconds to fill; needs CONTEXT_TOKENS=ENDLESS."""
    return f"endless={model_file(context=int(harness.ENDLESS))}"


@pytest.fixture(scope="session")
def server(tmp_path_factory, toy):
    """A ready server with the model "toy", shared by the tests that leave it as they found it."""
    with harness.running(tmp_path_factory.mktemp("server"), "--model", toy) as started:
        yield started


@pytest.fixture
def start_server(tmp_path):
    """start_server(*arguments, ready=True, NAME=value...): a server of the test's own, ended (and held to a clean end) after it."""
    started = []

    def start(*arguments: str, ready: bool = True, **environment: str) -> harness.Server:
        one = harness.Server(tmp_path / f"server{len(started)}", *arguments, environment=environment)
        started.append(one)
        return one.wait_for_ready() if ready else one.wait_for_port()

    yield start
    try:
        for one in started:
            one.stop()
    finally:
        for one in started:
            one.kill()
