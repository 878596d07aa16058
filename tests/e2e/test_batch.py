"""POST /api/v1/streaming/batch/process: many requests in one."""

import concurrent.futures
import re

import httpx
import pytest

import harness

BATCH_PATH = "/api/v1/streaming/batch/process"
GREEDY = {"temperature": 0, "ignore_eos": True}


def process(server, requests, status=200, **fields) -> dict:
    response = server.post(BATCH_PATH, {"requests": requests, "model": "toy", **fields})
    assert response.status_code == status, response.text
    return response.json()


def test_the_specifications_example(server):
    answer = server.post(
        BATCH_PATH,
        {
            "requests": [
                {"prompt": "Write a short sentence about AI."},
                {"prompt": "Explain machine learning."},
                {"prompt": "What is deep learning?"},
            ],
            "model": "toy",
            "batch_size": 8,
            "max_tokens": 20,
        },
    ).json()
    assert re.fullmatch(r"batch_\d{8}_\d{6}(_\d+)?", answer["batch_id"])
    assert answer["total_requests"] == 3
    assert answer["batch_size"] == 8
    assert answer["success_rate"] == 1.0
    assert [result["request_index"] for result in answer["results"]] == [0, 1, 2]
    for result in answer["results"]:
        assert result["success"] is True
        assert isinstance(result["response"], str)
        assert result["finish_reason"] in ("stop", "length")
        assert result["usage"]["completion_tokens"] <= 20
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert answer["usage"][name] == sum(result["usage"][name] for result in answer["results"])


def test_each_answer_belongs_to_its_request(server):
    """Answers come in the order of the requests, whatever order they ran in, and are those of a chat."""
    topics = ["the sea", "bread", "a mountain", "the sea at night", "bread and salt", "zebras", "a", "the"]
    requests = [{"prompt": f"Tell me about {topic}", "max_tokens": 12 + i} for i, topic in enumerate(topics)]
    answer = process(server, requests, batch_size=3, **GREEDY)
    for i, (request, result) in enumerate(zip(requests, answer["results"])):
        assert result["usage"]["completion_tokens"] == 12 + i
        alone = server.settled_chat(request["prompt"], max_tokens=12 + i, **GREEDY)
        assert result["usage"]["prompt_tokens"] == alone.usage["prompt_tokens"], "the prompt is a user's message"
        assert result["response"] == alone.text


def test_messages_and_own_sampling_fields(server):
    answer = process(
        server,
        [
            {"messages": harness.user("Hello"), "max_tokens": 3},
            {"prompt": "Hello", "temperature": 1.5, "seed": 7, "top_k": 0, "top_p": 1, "min_p": 0},
            {"prompt": "Hello", "temperature": 1.5, "seed": 7, "top_k": 0, "top_p": 1, "min_p": 0},
            {"prompt": "Hello", "priority": -5},
        ],
        max_tokens=9,
        **GREEDY,
    )
    assert [result["usage"]["completion_tokens"] for result in answer["results"]] == [3, 9, 9, 9]
    assert answer["results"][3]["response"].startswith(answer["results"][0]["response"])
    assert answer["results"][1]["response"] != answer["results"][3]["response"]


def test_what_fails_fails_alone(server):
    answer = process(
        server,
        [
            {"prompt": "Hello"},
            {"prompt": "Hello", "temperature": 9},
            {"prompt": "word " * 20_000},
            {"messages": []},
            "no object",
            {"prompt": "Hello again"},
        ],
        max_tokens=4,
        **GREEDY,
    )
    assert [result["success"] for result in answer["results"]] == [True, False, False, False, False, True]
    assert answer["success_rate"] == pytest.approx(2 / 6)
    errors = [result.get("error") for result in answer["results"]]
    assert errors[1]["code"] == "invalid_argument"
    assert errors[1]["field"] == "requests[1].temperature"
    assert "between 0 and 2" in errors[1]["message"]
    assert errors[2]["code"] == "context_length_exceeded"
    assert errors[2]["field"] == "requests[2].prompt"
    assert errors[3]["field"] == "requests[3].messages"
    assert errors[4]["field"] == "requests[4]"
    assert all("response" not in result for result in answer["results"] if not result["success"])


@pytest.mark.parametrize(
    "body, field",
    [
        ({"model": "toy"}, "requests"),
        ({"model": "toy", "requests": []}, "requests"),
        ({"model": "toy", "requests": "Hello"}, "requests"),
        ({"model": "toy", "requests": [{"prompt": "a"}], "batch_size": 0}, "batch_size"),
        ({"model": "toy", "requests": [{"prompt": "a"}], "batch_size": 1.5}, "batch_size"),
        ({"model": "toy", "requests": [{"prompt": "a"}], "temperature": -1}, "temperature"),
        ({"model": "toy", "requests": [{"prompt": "a"}] * 1025}, "requests"),
        ({"model": "toy", "requests": [{"prompt": "a"}], "stream": True}, "stream"),
    ],
)
def test_a_wrong_body_is_refused_as_a_whole(server, body, field):
    response = server.post(BATCH_PATH, body)
    assert response.status_code == 422, response.text
    assert response.json()["error"]["field"] == field


def test_an_unknown_model_is_refused_as_a_whole(server):
    response = server.post(BATCH_PATH, {"requests": [{"prompt": "a"}], "model": "no-such-model"})
    assert response.status_code == 404
    assert response.json()["error"]["field"] == "model"


def test_shared_beginnings_are_computed_once(start_server, toy):
    """The requests with a common beginning run one after the other, so that it is still in memory."""
    server = start_server("--model", toy, CONTEXT_TOKENS="1024")
    stories = ["The sea was calm and the sailor told of storms. " * 4, "A mountain stood above the village. " * 5]
    requests = [{"prompt": stories[i % 2] + f"Part {i}"} for i in range(12)]
    answer = process(server, requests, batch_size=2, max_tokens=2, **GREEDY)
    assert answer["success_rate"] == 1.0
    cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached > 0.6 * answer["usage"]["prompt_tokens"], answer["usage"]


def test_no_more_than_batch_size_run_at_once(start_server, toy):
    server = start_server("--model", toy, BATCH_SIZE="8")

    def open_requests():
        metrics = server.client.get(server.url + "/api/v1/streaming/performance/metrics").json()
        toy_stats = metrics["performance_stats"]["toy"]
        return toy_stats["requests_running"] + toy_stats["requests_waiting"]

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(process, server, [{"prompt": f"Number {i}"} for i in range(24)],
                           batch_size=3, max_tokens=300, **GREEDY)  # fmt: skip
        seen = set()
        while not done.done():
            seen.add(open_requests())
        assert done.result()["success_rate"] == 1.0
    assert 3 in seen
    assert max(seen) <= 3


def test_ids_are_unique(server):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda i: process(server, [{"prompt": f"Hello {i}"}], max_tokens=1)["batch_id"], range(8)))
    assert len(set(ids)) == 8


def test_a_client_that_goes_away_cancels_all(start_server, endless):
    server = start_server("--model", endless, CONTEXT_TOKENS=harness.ENDLESS, BATCH_SIZE="4", MAX_QUEUE="4")
    body = {"requests": [{"prompt": f"Hello {i}", "max_tokens": 30_000, **GREEDY} for i in range(8)], "batch_size": 4}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(server.url + BATCH_PATH, json=body, timeout=1)

    def idle():
        metrics = server.client.get(server.url + "/api/v1/streaming/performance/metrics").json()
        stats = metrics["performance_stats"]["endless"]
        return stats["requests_running"] == 0 and stats["requests_waiting"] == 0

    harness.wait_until("nothing of the batch runs any more", idle, 10)
    assert server.chat("Hello", temperature=0, max_tokens=4).usage["completion_tokens"] > 0
