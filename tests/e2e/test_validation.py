"""What is wrong with a request is said in the right status, naming the field, in the error shape of the route's family."""

import pytest

import harness

VALID = {"messages": harness.user("Hello"), "max_tokens": 4}
BOTH = pytest.mark.parametrize("path", [harness.STREAM_PATH, harness.COMPLETIONS_PATH])

#: A body that cannot be understood: each family's own status.
MALFORMED = {harness.STREAM_PATH: 422, harness.COMPLETIONS_PATH: 400}

OUT_OF_RANGE = [
    ("temperature", -0.1), ("temperature", 2.1), ("temperature", "warm"), ("temperature", True), ("temperature", 1e400),
    ("top_p", -0.1), ("top_p", 0), ("top_p", 1.1), ("top_p", []),
    ("top_k", -1), ("top_k", 1.5), ("top_k", 10**12), ("top_k", "40"),
    ("min_p", -0.1), ("min_p", 1.1),
    ("repeat_penalty", 0), ("repeat_penalty", -1), ("repeat_penalty", 2.5),
    ("presence_penalty", -2.1), ("presence_penalty", 2.1),
    ("frequency_penalty", -2.1), ("frequency_penalty", 2.1),
    ("seed", "abc"), ("seed", 1.5), ("seed", 10**30),
    ("max_tokens", 0), ("max_tokens", -5), ("max_tokens", 2**63), ("max_tokens", 1.5), ("max_tokens", {}),
    ("stop", 5), ("stop", [1]), ("stop", [""]), ("stop", ["x"] * 1000), ("stop", "x" * 100_000),
    ("ignore_eos", "yes"), ("ignore_eos", 1),
    ("stream", "true"), ("stream", 0),
    ("model", 7), ("model", ["toy"]),
    ("messages", None), ("messages", []), ("messages", "Hello"), ("messages", [5]),
    ("messages", [{"role": "user"}]),
    ("messages", [{"content": "Hello"}]),
    ("messages", [{"role": "wizard", "content": "Hello"}]),
    ("messages", [{"role": "user", "content": 5}]),
]  # fmt: skip


def error_of(response, path: str) -> dict:
    """The error object, held to its family's shape."""
    assert response.headers["content-type"].split(";")[0] == "application/json"
    error = response.json()["error"]
    where = "param" if path.startswith("/v1") else "field"
    assert error.keys() == {"message", "type", where, "code"}
    assert error["message"].strip()
    return error | {"at": error[where]}


def dump(body: dict) -> bytes:
    """JSON in which infinity is written as the too large number it came from."""
    import json

    return json.dumps(body).replace("Infinity", "1e400").encode()


@BOTH
@pytest.mark.parametrize(("field", "value"), OUT_OF_RANGE, ids=lambda value: repr(value)[:30])
def test_a_value_out_of_range_names_its_field(server, path, field, value):
    headers = {"content-type": "application/json"}
    response = server.client.post(server.url + path, content=dump(VALID | {field: value}), headers=headers)
    assert response.status_code == MALFORMED[path], response.text
    error = error_of(response, path)
    # A number that no double can hold is refused by the JSON parser, which knows no fields.
    if value == 1e400:
        return
    assert error["at"].split("[")[0] == field
    assert field in error["message"]


@BOTH
@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", 0), ("temperature", 2), ("top_p", 1), ("top_k", 0), ("min_p", 0), ("min_p", 1), ("seed", 0),
     ("seed", 2**32 - 1), ("presence_penalty", -2), ("frequency_penalty", 2), ("repeat_penalty", 1.1), ("max_tokens", 1),
     ("stop", []), ("stop", "zzz"), ("stop", ["zzz", "yyy"]), ("stop", None), ("temperature", None), ("seed", None)],
)  # fmt: skip
def test_values_at_the_edge_are_taken(server, path, field, value):
    response = server.post(path, VALID | {field: value, "stream": False})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", [harness.STREAM_PATH, "/api/v1/streaming/batch/process", harness.COMPLETIONS_PATH, "/v1/completions", "/v1/embeddings"])
def test_invalid_json_is_said_to_be_so_and_where(server, path):
    headers = {"content-type": "application/json"}
    for body, offset in ((b'{"model": "toy", }', 17), (b"\xef\xbb\xbf{]", 4), (b'{"model": "toy"', 15), (b" " * 100_000 + b"{} x", 100_003)):
        response = server.client.post(server.url + path, content=body, headers=headers)
        assert response.status_code == (400 if path.startswith("/v1") else 422), response.text
        assert error_of(response, path)["message"].endswith(f"at byte offset {offset}.")


@BOTH
def test_an_unknown_model_is_named(server, path):
    response = server.post(path, VALID | {"model": "no-such-model"})
    assert response.status_code == 404
    assert "no-such-model" in error_of(response, path)["message"]


@BOTH
@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "toy/../toy", "a" * 5000, "\u0000", "toy "])
def test_a_model_name_is_never_a_path(server, path, name):
    response = server.post(path, VALID | {"model": name})
    assert response.status_code in (400, 404, 422)
    error_of(response, path)


@BOTH
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"[]", b'"text"', b"null", b'{"messages": [}', b'{"a": 1} trailing', b'{"a": "\xff\xfe"}',
     b'{"messages": [{"role": "user", "content": "\\ud800"}]}'],
)  # fmt: skip
def test_malformed_json_is_a_bad_request(server, path, body):
    response = server.client.post(server.url + path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == MALFORMED[path], response.text
    error_of(response, path)


@BOTH
@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["arrays", "objects"])
def test_deep_nesting_is_refused(server, path, opening):
    closing = b"]" if opening == b"[" else b"}"
    deep = opening * 100_000 + b"1" + closing * 100_000
    body = b'{"messages": [{"role": "user", "content": "Hello"}], "extra": ' + deep + b"}"
    response = server.client.post(server.url + path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == MALFORMED[path]
    error_of(response, path)


@BOTH
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_another_content_type_is_unsupported(server, path, content_type):
    response = server.client.post(server.url + path, content=b"{}", headers={"content-type": content_type})
    assert response.status_code == 415
    error_of(response, path)


@BOTH
def test_a_charset_in_the_content_type_is_fine(server, path):
    import json

    headers = {"content-type": "application/json; charset=utf-8"}
    response = server.client.post(server.url + path, content=json.dumps(VALID), headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", harness.STREAM_PATH, "POST"),
        ("PUT", harness.COMPLETIONS_PATH, "POST"),
        ("DELETE", "/v1/models", "GET"),
        ("POST", "/health", "GET"),
        ("POST", "/ready", "GET"),
    ],
)
def test_another_method_is_refused_with_those_allowed(server, method, path, allowed):
    response = server.client.request(method, server.url + path)
    assert response.status_code == 405
    assert allowed in [one.strip() for one in response.headers["allow"].split(",")]
    error_of(response, path)


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/api/v1/streaming", "/api/v1/streaming/chat/stream/", "/%00"])
def test_an_unknown_route_is_not_found(server, path):
    response = server.client.get(server.url + path)
    assert response.status_code == 404
    error_of(response, path)


def test_fields_that_would_change_the_answer_are_not_ignored(server):
    response = server.post(harness.COMPLETIONS_PATH, VALID | {"n_probs": 2})
    assert response.status_code in (400, 422)
    assert error_of(response, harness.COMPLETIONS_PATH)["param"] == "n_probs"
