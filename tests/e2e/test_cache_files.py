"""`sutazai cache export` and `sutazai cache import`: artifacts travel from one server's folder to another's."""

import subprocess

import harness
import pytest

MANAGE = "/api/v1/streaming/cache/manage"
SHORT = {"temperature": 0, "max_tokens": 4, "ignore_eos": True}
DOCUMENT = "The quick brown fox jumps over the lazy dog. " * 120


def manage(server, action):
    response = server.post(MANAGE, {"action": action})
    assert response.status_code == 200, response.text
    (result,) = response.json()["results"]
    return result


@pytest.fixture
def exported(start_server, toy, tmp_path):
    """A file of artifacts of the model toy, made by a server that has been asked for them and ended."""
    server = start_server("--model", toy)
    for question in ("Who jumps?", "Who is lazy?"):
        server.chat([{"role": "system", "content": DOCUMENT}, {"role": "user", "content": question}], **SHORT)
    result = manage(server, "save")
    assert result["success"], result
    server.stop()
    done = harness.run_binary("cache", "export", str(tmp_path / "out.tar"), "--model", toy, "--model", "toy",
                              folder=server.folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "artifacts, " in done.stdout and "written to" in done.stdout
    return tmp_path / "out.tar"


def test_artifacts_travel(exported, start_server, toy, tmp_path):
    listed = subprocess.run(["tar", "tf", exported], capture_output=True, text=True, check=True).stdout
    blocks = listed.count(".kv\n")
    assert blocks >= 2
    folder = tmp_path / "server1"  # where the next server will live
    folder.mkdir()
    for new in (blocks, 0):
        done = harness.run_binary("cache", "import", str(exported), "--model", toy, folder=folder)
        assert done.returncode == 0, done.stderr
        assert f"{blocks} artifacts read" in done.stdout and f", {new} of them new" in done.stdout
    server = start_server("--model", toy)
    assert server.folder == folder
    result = manage(server, "load")
    assert result["success"] and result["loaded"] == blocks, result
    server.chat([{"role": "system", "content": DOCUMENT}, {"role": "user", "content": "Which fox?"}], **SHORT)


def test_import_for_another_model(exported, model_file, tmp_path):
    done = harness.run_binary("cache", "import", str(exported), "--model", f"other={model_file(2)}",
                              folder=tmp_path)  # fmt: skip
    assert done.returncode == 1
    assert "belong to another model: architecture llama" in done.stderr
    assert not list((tmp_path / "home").glob("artifacts/*/*/*.kv"))


def test_import_of_a_damaged_file(exported, toy, tmp_path):
    whole = exported.read_bytes()
    for at in (0, 600, 5000, len(whole) // 2, len(whole) - 1500, len(whole) - 1):
        exported.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        done = harness.run_binary("cache", "import", str(exported), "--model", toy, folder=tmp_path)
        assert done.returncode == 1, at
        assert not list((tmp_path / "home").glob("artifacts/*/*/*.kv")), at
    exported.write_bytes(whole[:-2000])
    done = harness.run_binary("cache", "import", str(exported), "--model", toy, folder=tmp_path)
    assert done.returncode == 1
    assert "cut short" in done.stderr


def test_nothing_to_export(tmp_path, toy):
    done = harness.run_binary("cache", "export", "out.tar", folder=tmp_path)
    assert done.returncode == 1
    assert "there are no artifacts in" in done.stderr
    done = harness.run_binary("cache", "export", "out.tar", "--model", toy, "--model", "toy", folder=tmp_path)
    assert done.returncode == 1
    assert "there are no artifacts of toy in" in done.stderr
    assert not (tmp_path / "out.tar").exists()


def test_export_of_an_unknown_model(tmp_path):
    done = harness.run_binary("cache", "export", "out.tar", "--model", "nobody", folder=tmp_path)
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_import_of_what_is_no_export(tmp_path):
    done = harness.run_binary("cache", "import", "missing.tar", folder=tmp_path)
    assert done.returncode == 1
    assert "missing.tar" in done.stderr
    (tmp_path / "noise.tar").write_bytes(bytes(range(256)) * 20)
    done = harness.run_binary("cache", "import", "noise.tar", folder=tmp_path)
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert not list((tmp_path / "home").glob("artifacts/*"))


def test_artifacts_switched_off(tmp_path):
    (tmp_path / "noise.tar").write_bytes(b"x")
    done = harness.run_binary(
        "cache", "import", "noise.tar", folder=tmp_path, environment={"CACHE_ARTIFACT_BYTES": "0"}
    )
    assert done.returncode == 1
    assert "CACHE_ARTIFACT_BYTES is 0" in done.stderr


def test_a_file_is_needed(tmp_path):
    assert harness.run_binary("cache", "export", folder=tmp_path).returncode == 2
    assert harness.run_binary("cache", folder=tmp_path).returncode == 2
