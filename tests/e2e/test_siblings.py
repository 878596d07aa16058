"""Models that start from weights which another model's engine has in memory."""

import os
import pathlib
import shutil
import signal

import harness
import pytest
from gguf_aged import Gguf
from gguf_split import text_bytes

MANAGE = "/api/v1/streaming/cache/manage"
METRICS = "/api/v1/streaming/performance/metrics"
SHORT = {"temperature": 0, "max_tokens": 8, "ignore_eos": True}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model whose weights are repacked, of some MiB: pages are told from weights by their number."""
    path = tmp_path_factory.mktemp("siblings") / "base.gguf"
    shape = ["--preset", "toy", "--quant", "q4_0", "--layers", "8", "--embedding", "512", "--feed-forward", "2048"]
    made = harness.run_binary("model", "synth", *shape, "--output", str(path), folder=path.parent)
    assert made.returncode == 0, made.stderr
    return path


@pytest.fixture
def serve(start_server, tmp_path):
    """serve(models_toml, NAME=value...)"""

    def start(toml: str, **environment: str) -> harness.Server:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        (home / "models.toml").write_text(toml)
        return start_server(SUTAZAI_HOME=str(home), **{"CACHE_WARMUP_ON_STARTUP": "false", "LOG_LEVEL": "debug"} | environment)

    return start


def two_contexts(path: pathlib.Path) -> str:
    return f'[models.narrow]\nfrom = "{path}"\n[models.wide]\nfrom = "{path}"\ncontext = 4096\n'


def manage(server, action, **fields):
    response = server.post(MANAGE, {"action": action, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def model(server, name):
    (found,) = [entry for entry in manage(server, "status")["models"] if entry["name"] == name]
    return found


def warm(server, name):
    (outcome,) = manage(server, "warmup", models=[name])["results"]
    assert outcome["success"], outcome
    return model(server, name)


def rewritten(path: pathlib.Path, to: pathlib.Path, tuned: str = "") -> pathlib.Path:
    """The same tensors behind another head, but for one that is tuned."""
    file = Gguf(path)
    name = b"a fine-tune, whose name is longer"
    file.pairs["general.name"] = file.pairs["general.name"][:4] + text_bytes(name)
    for tensor in file.tensors:
        if tensor.name == tuned:
            tensor.data = memoryview(bytes(byte if i % 18 < 2 else byte ^ 0x55 for i, byte in enumerate(tensor.data)))
    file.write(to)
    return to


def test_one_file_in_two_ways_is_in_memory_once(serve, base):
    apart = serve(two_contexts(base), WEIGHT_SHARING="false")
    text = apart.chat("Hello there", model="wide", **SHORT).text
    assert warm(apart, "narrow")["shared_weights"] is None
    apart.stop()

    server = serve(two_contexts(base))
    first = warm(server, "narrow")
    if first["shared_weights"] is None:
        pytest.skip("this processor's kernels repack nothing")
    assert first["shared_weights"]["started_from"] is None
    assert first["shared_weights"]["bytes"] > 8 << 20
    second = warm(server, "wide")
    assert second["shared_weights"]["started_from"] == "narrow"
    assert second["shared_weights"]["bytes"] == first["shared_weights"]["bytes"]
    harness.wait_until("the log", lambda: "wide: starts from" in server.log())  # its thread writes it when it can
    assert server.chat("Hello there", model="wide", **SHORT).text == text

    # What is there once counts once.
    both = [model(server, name) for name in ("narrow", "wide")]
    elsewhere = sorted(one["shared_weights"]["bytes_counted_elsewhere"] for one in both)
    assert elsewhere == [0, first["shared_weights"]["bytes"]]
    total = sum(one["bytes_measured"] for one in both) - elsewhere[1]
    assert manage(server, "status")["total_cache_size_mb"] == pytest.approx(total / (1 << 20), abs=0.2)
    stats = server.client.get(server.url + METRICS).json()["performance_stats"]
    assert stats["wide"]["warm_started_from"] == "narrow"
    assert stats["narrow"]["warm_started_from"] is None
    mapped = [rss(one["pid"], "RssShmem") for one in both]
    assert min(mapped) > 8 << 20
    owned = [rss(one["pid"], "RssAnon") for one in both]
    assert max(owned) - min(owned) < 16 << 20, "neither has a copy of its own"


def test_memory_in_common_leaves_room_for_more(serve, base):
    server = serve(two_contexts(base), STANDBY_ENGINES="0")
    first = warm(server, "narrow")
    if first["shared_weights"] is None:
        pytest.skip("this processor's kernels repack nothing")
    wide = warm(server, "wide")
    # Room for both only if the weights count once. What they take is remembered.
    limit = first["bytes_expected"] + wide["bytes_expected"] - first["shared_weights"]["bytes"] // 2
    server.stop()
    for sharing, n_warm in (("true", 2), ("false", 1)):
        seen = []
        # What a process is measured to take differs from start to start by some MiB, which is much for models this small.
        while len(seen) < 4 and n_warm not in seen:
            server = serve(two_contexts(base), STANDBY_ENGINES="0", WEIGHT_SHARING=sharing, MODEL_CACHE_BYTES=str(limit))
            for name in ("narrow", "wide"):
                server.chat("Hello there", model=name, **SHORT)
            seen.append(manage(server, "status")["warmed_models"])
            server.stop()
        assert n_warm in seen, (sharing, seen)


def rss(pid: int, kind: str) -> int:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(kind)


def test_a_model_without_siblings_is_loaded_as_ever(serve, base, model_file):
    """Memory that can be shared costs its maker something."""
    server = serve(f'[models.alone]\nfrom = "{base}"\n[models.same]\nfrom = "alone"\ntop_k = 3\n[models.other]\nfrom = "{model_file()}"\n')
    assert warm(server, "alone")["shared_weights"] is None
    assert rss(model(server, "alone")["pid"], "RssShmem") < 1 << 20


def test_weights_outlive_the_engine_that_made_them(serve, base):
    server = serve(two_contexts(base))
    first = warm(server, "narrow")
    if first["shared_weights"] is None:
        pytest.skip("this processor's kernels repack nothing")
    text = server.chat("Hello there", model="narrow", **SHORT).text
    assert warm(server, "wide")["shared_weights"]["started_from"] == "narrow"
    os.kill(first["pid"], signal.SIGKILL)
    harness.wait_until("the engine is gone", lambda: not harness.is_running(first["pid"]))
    assert server.chat("Hello there", model="wide", **SHORT).text == text
    harness.wait_until("all counts for the one that is left",
                       lambda: model(server, "wide")["shared_weights"]["bytes_counted_elsewhere"] == 0)  # fmt: skip
    # The first one comes back from the second one's memory.
    assert warm(server, "narrow")["shared_weights"]["started_from"] == "wide"
    assert server.chat("Hello there", model="narrow", **SHORT).text == text


def test_a_fine_tune_starts_from_its_base(serve, base, tmp_path):
    first = tmp_path / "first.gguf"
    shutil.copy(base, first)
    tuned = rewritten(base, tmp_path / "tuned.gguf", "blk.3.ffn_up.weight")
    toml = f'[models.base]\nfrom = "{first}"\n[models.tuned]\nfrom = "{tuned}"\n'
    apart = serve(toml, WEIGHT_SHARING="false")
    texts = {name: apart.chat("Hello there", model=name, **SHORT).text for name in ("base", "tuned")}
    apart.stop()
    digests = tmp_path / "home" / "artifacts" / "digests"

    server = serve(toml)
    if warm(server, "base")["shared_weights"] is None:
        pytest.skip("this processor's kernels repack nothing")
    assert warm(server, "tuned")["shared_weights"]["started_from"] is None, "nobody knows yet what they have in common"
    harness.wait_until("the tensors are known", lambda: len(list(digests.glob("*.tensors"))) == 2, seconds=40)
    manage(server, "evict", models=["tuned"])
    again = warm(server, "tuned")["shared_weights"]
    whole = model(server, "base")["shared_weights"]["bytes"]
    assert again["started_from"] == "base"
    assert whole / 2 < again["bytes"] < whole, "all but the tensor that was tuned"
    assert {name: server.chat("Hello there", model=name, **SHORT).text for name in texts} == texts

    # A file that is another one now is not taken for what it was.
    shutil.copy(rewritten(base, tmp_path / "other.gguf", "blk.5.ffn_up.weight"), tmp_path / "new.gguf")
    manage(server, "evict", models=["tuned"])
    os.replace(tmp_path / "new.gguf", tuned)
    assert warm(server, "tuned")["shared_weights"]["started_from"] is None
