"""The description of the API at /openapi.json, held against the running server: schemathesis sends what it allows and
what it forbids, to every route."""

import os
import pathlib
import re
import subprocess
import sys

import httpx
import jsonschema
import pytest

import harness

#: For each route, at random, beside those that its limits give: together more than 10,000 requests.
EXAMPLES = os.environ.get("OPENAPI_EXAMPLES", "15")
#: What is not asked: whether all that fits the description is taken, since a model without adapters, gaps or ranks
#: refuses what another one takes.
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "negative_data_rejection", "response_headers_conformance"]


@pytest.fixture(scope="module")
def description(server):
    return httpx.get(f"{server.url}/openapi.json").raise_for_status().json()


def test_it_is_openapi_3_1(description):
    assert description["openapi"] == "3.1.0"
    for methods in description["paths"].values():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            schema = {**content["schema"], "components": description["components"]}
            jsonschema.Draft202012Validator.check_schema(schema)
            for example in content["examples"].values():
                jsonschema.validate(example["value"], schema, cls=jsonschema.Draft202012Validator)


def test_it_needs_no_key(start_server, toy):
    server = start_server("--model", toy, API_KEYS="secret")
    assert httpx.get(f"{server.url}/openapi.json").status_code == 200
    assert httpx.get(f"{server.url}/v1/models").status_code == 401


def resident_mib(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) / 1024
    return total


#: A batch tells of each of its requests by itself, with 200.
BATCH = "/api/v1/streaming/batch/process"
#: Whether a model can answer depends on what the other requests have unloaded.
STATES = ["/ready", "/readyz", "/api/v1/streaming/health/advanced"]
#: Has no end.
TELEMETRY = "/api/v1/streaming/telemetry"


def schemathesis(server, folder, *more):
    command = [str(pathlib.Path(sys.executable).parent / "schemathesis"), "run", f"{server.url}/openapi.json",
               # Two threads that compile at one time are more than Python 3.11 bears.
               "--url", server.url, "--no-color", "--generation-deterministic", "--workers", "1",
               "--request-timeout", str(30 * harness.SLOWDOWN), *more,
               # Whether a model can answer depends on what the other requests have unloaded.
               "--exclude-path", "/ready", "--exclude-path", "/readyz", "--exclude-path", "/api/v1/streaming/health/advanced",
               "--exclude-path", TELEMETRY]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True,
                          env=harness.clean_environment(HOME=str(folder)), timeout=3000)  # fmt: skip
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-5000:]
    return int(re.search(r"(\d+) generated", done.stdout).group(1))


def test_schemathesis_finds_nothing(start_server, toy, tmp_path):
    server = start_server("--model", toy, MAX_QUEUE="1000")
    # Sanitizers see what is made up at random; all limits of all fields would take them very long.
    phases = ["--phases", "examples,coverage,fuzzing" if harness.SLOWDOWN == 1 else "examples,fuzzing"]
    exclude = ["--exclude-path-regex", "|".join(f"^{re.escape(path)}$" for path in [BATCH, *STATES, TELEMETRY])]
    # What the first requests set up once is no growth.
    schemathesis(server, tmp_path, "--checks", CHECKS[0], *exclude, "--phases", "examples")
    before = resident_mib([server.pid])
    sent = schemathesis(server, tmp_path, "--checks", ",".join(CHECKS), *exclude, *phases, "--max-examples", EXAMPLES)
    of_batch = [check for check in CHECKS if check != "negative_data_rejection"]
    sent += schemathesis(server, tmp_path, "--checks", ",".join(of_batch), "--include-path", BATCH, *phases,
                         "--max-examples", EXAMPLES)
    if harness.SLOWDOWN == 1:
        assert sent >= 10_000
    grown = resident_mib([server.pid]) - before
    assert grown < 32 or harness.SLOWDOWN > 1, f"{grown:.0f} MiB"  # a sanitizer keeps what was freed for a while
    errors = [line for line in server.log().splitlines() if " error " in line]
    assert not errors, errors[:5]
    assert server.chat(harness.user("Hello"), max_tokens=4).chunks
