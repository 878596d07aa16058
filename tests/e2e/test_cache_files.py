"""`sutazai cache export` and `sutazai cache import` as a user meets them without any artifacts. That artifacts travel
between servers is tested where servers make some."""

import harness


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
