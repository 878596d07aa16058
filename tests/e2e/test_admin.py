"""What callers with a plain key, with an administrator's and without one may do (docs/decisions/0015-...)."""

import httpx
import pytest

import harness

MANAGE = "/api/v1/streaming/cache/manage"
PLAIN, ADMIN = ({"authorization": f"Bearer {key}"} for key in ("plain-key", "admin-key"))
SHORT = {"messages": harness.user("Hi"), "max_tokens": 2, "stream": False}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory, toy):
    settings = {"API_KEYS": "plain-key", "ADMIN_API_KEYS": "admin-key"}
    with harness.running(tmp_path_factory.mktemp("keyed"), "--model", toy, **settings) as server:
        yield server


def test_without_a_key_status_is_bare(keyed):
    assert httpx.get(keyed.url + "/ready").json() == {"status": "ready"}
    assert httpx.get(keyed.url + "/health").json() == {"status": "ok"}
    assert httpx.get(keyed.url + "/ready", headers={"authorization": "Bearer guess"}).json() == {"status": "ready"}
    models = httpx.get(keyed.url + "/ready", headers=PLAIN).json()["models"]
    assert {"name": "toy", "state": "warm"} in models


@pytest.mark.parametrize("action", ["pin", "unpin", "save", "load", "prune", "warmup", "evict"])
def test_orders_need_an_administrator(keyed, action):
    order = {"action": action, "models": ["toy"]}
    refused = httpx.post(keyed.url + MANAGE, json=order, headers=PLAIN)
    assert refused.status_code == 403
    assert refused.json()["error"]["field"] == "action"
    assert "ADMIN_API_KEYS" in refused.json()["error"]["message"]
    assert httpx.post(keyed.url + MANAGE, json=order).status_code == 401
    assert httpx.post(keyed.url + MANAGE, json=order, headers=ADMIN, timeout=30 * harness.SLOWDOWN).status_code == 200


@pytest.mark.parametrize(("fields", "allowed"), [
    ({"priority": -1}, False), ({"priority": -1000}, False), ({"priority": 0}, True), ({"priority": 1000}, True),
    ({"keep_alive": 0}, False), ({"keep_alive": "1s"}, False), ({"keep_alive": "5m"}, True), ({"keep_alive": -1}, True),
])  # fmt: skip
def test_plain_keys_have_bounds_that_are_named(keyed, fields, allowed):
    for path, code in ((harness.STREAM_PATH, 422), (harness.COMPLETIONS_PATH, 400)):
        answer = httpx.post(keyed.url + path, json=SHORT | fields, headers=PLAIN, timeout=30 * harness.SLOWDOWN)
        assert answer.status_code == (200 if allowed else code), answer.text
        if not allowed:
            error = answer.json()["error"]
            assert (error.get("field") or error.get("param")) in fields
            assert "must be between" in error["message"]
    answer = httpx.post(keyed.url + harness.STREAM_PATH, json=SHORT | fields, headers=ADMIN, timeout=30 * harness.SLOWDOWN)
    assert answer.status_code == 200, answer.text


def test_the_command_line_shows_the_administrators_key(keyed, tmp_path):
    settings = {"API_KEYS": "plain-key", "ADMIN_API_KEYS": "admin-key"}
    pinned = harness.run_binary("cache", "pin", "toy", "--url", keyed.url, folder=tmp_path, environment=settings)
    assert pinned.returncode == 0, pinned.stderr
    plain = harness.run_binary("cache", "unpin", "toy", "--url", keyed.url, "--api-key", "plain-key", folder=tmp_path)
    assert plain.returncode == 1
    assert "ADMIN_API_KEYS" in plain.stderr
