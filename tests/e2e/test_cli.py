"""The command line: config, run, version, help."""

import os
import re
import signal
import subprocess

import pytest

import harness

SPECIFIED = {
    "ADVANCED_CACHING_ENABLED": "true", "BATCH_SIZE": "8", "BATCH_TIMEOUT_MS": "100", "STREAMING_ENABLED": "true",
    "GPU_ACCELERATION": "true", "MODEL_CACHE_SIZE": "3", "CACHE_WARMUP_ON_STARTUP": "true",
    "CACHE_ARTIFACT_RETENTION_DAYS": "7", "PERFORMANCE_MONITORING": "true",
}  # fmt: skip


def config_row(output: str, name: str) -> str:
    rows = [line for line in output.splitlines() if re.match(rf"\s*{name}\b", line)]
    assert len(rows) == 1, output
    return rows[0]


def test_version(tmp_path):
    result = harness.run_binary("version", folder=tmp_path)
    assert result.returncode == 0
    assert re.search(r"\b\d+\.\d+\.\d+\b", result.stdout)
    assert "llama.cpp" in result.stdout


def test_version_is_a_flag_too(tmp_path):
    flag = harness.run_binary("--version", folder=tmp_path)
    assert flag.returncode == 0 and flag.stderr == ""
    assert flag.stdout == harness.run_binary("version", folder=tmp_path).stdout


def test_a_setting_in_front_of_the_command_is_told_where_it_belongs(tmp_path):
    result = harness.run_binary("--port", "1", "serve", folder=tmp_path)
    assert result.returncode == 2
    assert "settings stand behind the command: `sutazai serve --port ...`" in result.stderr
    assert "--batch-size needs a value" in harness.run_binary("serve", "--batch-size", folder=tmp_path).stderr


@pytest.mark.parametrize("command", [[], ["serve"], ["run"], ["config"], ["version"], ["model"], ["model", "synth"]])
def test_help(tmp_path, command):
    result = harness.run_binary(*command, "--help", folder=tmp_path)
    assert result.returncode == 0
    assert "--help" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "--nonsense"], ["run"], ["model", "synth"], []])
def test_a_wrong_command_line_fails(tmp_path, arguments):
    result = harness.run_binary(*arguments, folder=tmp_path)
    assert result.returncode not in (0, -6, -11)
    assert result.stderr.strip()


def test_config_lists_every_specified_setting(tmp_path):
    result = harness.run_binary("config", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    for name, value in SPECIFIED.items():
        assert re.search(rf"\b{value}\b.*\bdefault\b", config_row(result.stdout, name)), name


def test_precedence(tmp_path):
    """flags > environment > .env > default."""
    (tmp_path / ".env").write_text("BATCH_SIZE=11\nMODEL_CACHE_SIZE=12\nMAX_QUEUE=13\n")
    result = harness.run_binary(
        "config", "--batch-size", "31", folder=tmp_path, environment={"BATCH_SIZE": "21", "MODEL_CACHE_SIZE": "22"}
    )
    assert result.returncode == 0, result.stderr
    for name, value, source in [
        ("BATCH_SIZE", "31", "flag"),
        ("MODEL_CACHE_SIZE", "22", "environment"),
        ("MAX_QUEUE", "13", r"\.env"),
        ("BATCH_TIMEOUT_MS", "100", "default"),
    ]:
        assert re.search(rf"\b{value}\b.*{source}", config_row(result.stdout, name))


def test_keys_are_not_printed(tmp_path):
    result = harness.run_binary("config", folder=tmp_path, environment={"API_KEYS": "very-secret"})
    assert result.returncode == 0
    assert "very-secret" not in result.stdout + result.stderr
    assert "***" in config_row(result.stdout, "API_KEYS")


@pytest.mark.parametrize("command", ["serve", "config"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("BATCH_SIZE", "0"), ("BATCH_SIZE", "many"), ("BATCH_SIZE", "8.5"), ("BATCH_SIZE", "99999999999999999999"),
     ("BATCH_TIMEOUT_MS", "-1"), ("STREAMING_ENABLED", "perhaps"), ("PORT", "65536"), ("LOG_LEVEL", "loud"),
     ("MODEL_CACHE_SIZE", "")],
)  # fmt: skip
def test_an_invalid_value_stops_the_start(tmp_path, command, name, value):
    result = harness.run_binary(command, folder=tmp_path, environment={name: value})
    assert result.returncode not in (0, -6, -11)
    assert name in result.stderr
    assert value in result.stderr


def test_an_unknown_name_in_the_env_file_stops_the_start(tmp_path):
    (tmp_path / ".env").write_text("BATCH_SIZE=4\nBATCHSIZE=5\n")
    result = harness.run_binary("serve", folder=tmp_path)
    assert result.returncode not in (0, -6, -11)
    assert "BATCHSIZE" in result.stderr


def test_a_malformed_env_file_names_the_line(tmp_path):
    (tmp_path / ".env").write_text("BATCH_SIZE=4\n\nthis is no setting\n")
    result = harness.run_binary("config", folder=tmp_path)
    assert result.returncode not in (0, -6, -11)
    assert re.search(r"\b3\b", result.stderr)


def test_the_documented_env_file_is_valid_and_holds_the_defaults(tmp_path):
    example = os.path.join(os.path.dirname(__file__), "..", "..", ".env.example")
    plain = harness.run_binary("config", folder=tmp_path).stdout
    (tmp_path / ".env").write_text(open(example).read())
    documented = harness.run_binary("config", folder=tmp_path)
    assert documented.returncode == 0, documented.stderr
    for name, value in SPECIFIED.items():
        assert re.search(rf"\b{value}\b", config_row(documented.stdout, name))
    names = [line.split()[0] for line in plain.splitlines() if re.match(r"\s*[A-Z][A-Z_]+\b", line)]
    missing = [name for name in names if not re.search(rf"^#?\s*{name}=", open(example).read(), re.MULTILINE)]
    assert len(names) > 20
    assert missing == []


def test_an_env_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfBATCH_SIZE=4\r\n")
    result = harness.run_binary("config", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.search(r"\b4\b.*\.env", config_row(result.stdout, "BATCH_SIZE"))
    (tmp_path / ".env").write_text("BATCH_SIZE=4\n", encoding="utf-16")
    assert "UTF-16" in harness.run_binary("config", folder=tmp_path).stderr


@pytest.mark.parametrize("command", ["serve", "config", "list"])
def test_an_env_file_that_is_none_stops_the_start(tmp_path, command):
    def error():
        result = harness.run_binary(command, folder=tmp_path)
        assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
        return result.stderr

    dot_env = tmp_path / ".env"
    dot_env.mkdir()
    assert ".env is a folder" in error()
    dot_env.rmdir()
    os.mkfifo(dot_env)
    assert ".env is a pipe" in error()
    dot_env.unlink()
    dot_env.symlink_to("/dev/zero")
    assert ".env is a device" in error()
    dot_env.unlink()
    with open(dot_env, "wb") as file:
        file.truncate(1 << 40)
    assert ".env is larger than 1 MiB" in error()


def test_settings_of_which_something_else_is_made_are_warned_of(tmp_path, toy):
    odd = {"THREADS": "1000", "CONTEXT_TOKENS": "300"}
    result = harness.run_binary("config", folder=tmp_path, environment=odd)
    assert result.returncode == 0
    assert "THREADS=1000, and there" in result.stderr and "CONTEXT_TOKENS=300 is no multiple" in result.stderr
    server = harness.Server(tmp_path / "server", "--model", toy, environment={"CONTEXT_TOKENS": "300"})
    try:
        server.wait_for_ready()
        usage = server.chat("Hello", ignore_eos=True).usage
        server.stop()
    finally:
        server.kill()
    assert re.search(r"warning.*CONTEXT_TOKENS=300 is no multiple of 256: 512 is used", server.log())
    assert 300 < usage["total_tokens"] <= 512


def test_a_tilde_is_the_users_folder(tmp_path):
    settings = {"HOME": str(tmp_path), "MODELS_DIR": "~/gguf", "MODELS": "one=~/one.gguf"}
    result = harness.run_binary("config", folder=tmp_path, environment=settings)
    assert str(tmp_path / "gguf") in config_row(result.stdout, "MODELS_DIR")
    assert f"one={tmp_path / 'one.gguf'}" in config_row(result.stdout, "MODELS")
    other = harness.run_binary("config", folder=tmp_path, environment={"MODELS_DIR": "~nobody/gguf"})
    assert other.returncode == 1 and "MODELS_DIR" in other.stderr


def test_a_models_folder_that_is_not_there_is_said_aloud(tmp_path, toy):
    missing = {"MODELS_DIR": str(tmp_path / "missing")}
    for command in ("config", "list"):
        result = harness.run_binary(command, folder=tmp_path, environment=missing)
        assert result.returncode == 0
        assert "MODELS_DIR" in result.stderr and "missing" in result.stderr and "No such" in result.stderr
    assert "no models are found" not in harness.run_binary("list", folder=tmp_path).stderr, "nobody named the usual one"
    server = harness.Server(tmp_path / "server", "--model", toy, environment=missing)
    try:
        server.wait_for_port()
        server.stop()
    finally:
        server.kill()
    assert re.search(r"warning.*MODELS_DIR=.*missing", server.log())


def test_run_streams_an_answer(tmp_path, toy):
    result = harness.run_binary("run", "--model", toy, "toy", "Hello there", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()


@pytest.mark.parametrize("command", [["run"], ["cache", "export", "parcel", "--model"]])
def test_a_model_that_is_nowhere_is_told_with_what_there_is(tmp_path, toy, command):
    def error(name):
        result = harness.run_binary(*command, name, "--model", toy, folder=tmp_path)
        assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
        return result.stderr

    assert f'there is no file "missing.gguf" in {tmp_path}' in error("missing.gguf")
    assert 'there is no file "/no/such.gguf"; the models here are' in error("/no/such.gguf")
    assert 'there is no model "toi"; did you mean toy?' in error("toi")
    (tmp_path / "folder.gguf").mkdir()
    assert "is a folder, not a model" in error("folder.gguf")


def test_run_says_what_it_does_not_know(tmp_path, toy):
    result = harness.run_binary("run", "--model", toy, "no-such-model", "Hello", folder=tmp_path)
    assert result.returncode not in (0, -6, -11)
    assert "no-such-model" in result.stderr


def test_run_reads_the_prompt_from_a_pipe(tmp_path, toy):
    result = harness.run_binary("run", "--model", toy, "toy", "--max-tokens", "8", folder=tmp_path, input="Hello\nAnd again\n")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
    empty = harness.run_binary("run", "--model", toy, "toy", folder=tmp_path, input=" \n")
    assert empty.returncode == 1
    assert "empty" in empty.stderr


def test_run_ends_cleanly_on_ctrl_c(tmp_path, toy):
    process = subprocess.Popen(
        [harness.BINARY, "run", "--model", toy, "--context-tokens", "131072", "--temperature", "0", "toy", "a b"],
        cwd=tmp_path,
        env=harness.clean_environment(SUTAZAI_HOME=str(tmp_path / "home")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout.read(1), "nothing was written"
        engines = harness.engines_of(process.pid, tmp_path)
        for pid in engines:  # or the answer may end by itself first
            os.kill(pid, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        for pid in engines:
            os.kill(pid, signal.SIGCONT)
        assert process.wait(20 * harness.SLOWDOWN) == 130
        assert not any(harness.is_running(pid) for pid in engines)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_wide_binding_without_keys_is_warned_of(tmp_path, toy):
    def start(host: str, **settings: str) -> str:
        server = harness.Server(tmp_path / f"{host}{len(settings)}", "--model", toy, host=host, environment=settings)
        try:
            server.wait_for_port()
            server.stop()
        finally:
            server.kill()
        return server.log().lower()

    assert "api_keys" in start("0.0.0.0")
    assert "api_keys" not in start("0.0.0.0", API_KEYS="one")
    assert "api_keys" not in start("127.0.0.1")
