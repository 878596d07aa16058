"""The demo model that comes with the product: the default model, and what it answers."""

import pathlib
import re
import subprocess
import sys

import httpx
import pytest

import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A server on which nothing was configured."""
    with harness.running(tmp_path_factory.mktemp("demo")) as server:
        yield server


def test_the_files_are_what_the_card_says():
    subprocess.run([sys.executable, ROOT / "models/demo/check.py"], check=True)


def chat(demo, *messages):
    """The greedy answer to a chat whose messages alternate, the user's first."""
    roles = ["user", "assistant"] * len(messages)
    answer = httpx.post(f"{demo.url}/api/v1/streaming/chat/stream", timeout=60, json={
        "messages": [{"role": role, "content": content} for role, content in zip(roles, messages)],
        "temperature": 0, "stream": False}).json()
    assert answer["model"] == "sutazai-demo"
    assert answer["finish_reason"] == "stop", answer
    return answer["content"]


def test_it_is_the_default_and_knows_its_settings(demo):
    answer = chat(demo, "What does BATCH_SIZE do?")
    assert "sequences" in answer or "together" in answer, answer


@pytest.mark.parametrize("greeting", ["hi", "Hi", "hello", "Hello!", "hey", "hi there!", "Hey there", "HELLO", "hello sutazai"])
def test_it_greets(demo, greeting):
    assert chat(demo, greeting).startswith("Hello! I am the SutazAI demo model."), greeting


@pytest.mark.parametrize("greeting", ["good morning", "Good evening!", "Good afternoon"])
def test_it_wishes_a_good_day(demo, greeting):
    assert chat(demo, greeting).startswith("Good day!"), greeting


@pytest.mark.parametrize("farewell", ["bye", "Goodbye!", "see you later", "bye bye", "good night", "Good night!", "see you tomorrow",
                                      "See you on Monday.", "have a nice day"])
def test_it_says_goodbye(demo, farewell):
    assert chat(demo, farewell).startswith("Goodbye!"), farewell


@pytest.mark.parametrize("question", ["What is the capital of France?", "what is 2 plus 2", "Write a Python program.", "qwzt"])
def test_it_says_what_it_does_not_know(demo, question):
    assert chat(demo, question).startswith("I am sorry, I only know about SutazAI."), question


@pytest.mark.parametrize("question, words", [
    ("How do I use a JSON schema?", ["json_schema"]), ("Can the model answer in JSON?", ["response_format"]),
    ("How do I use a grammar?", ["grammar", "GBNF"]),
    ("What does PREFIX_SHARING do?", ["PREFIX_SHARING"]), ("What does STANDBY_ENGINES do?", ["STANDBY_ENGINES", "process"]),
    ("What is CACHE_ARTIFACTS_DIR?", ["CACHE_ARTIFACTS_DIR", "folder"]), ("How do I evict a model?", ["evict"])])
def test_it_knows_what_the_product_does_today(demo, question, words):
    answer = chat(demo, question)
    assert all(word in answer for word in words) and "planned" not in answer, answer


def test_it_stays_on_topic_for_several_turns(demo):
    """Its own answers go back to it, as a chat window sends them."""
    history = []
    for question, expected in [("hi", "Hello!"), ("What does BATCH_TIMEOUT_MS do?", "BATCH_TIMEOUT_MS"),
                               ("and its default?", "BATCH_TIMEOUT_MS is 100"), ("what about low latency?", "BATCH_TIMEOUT_MS=25"),
                               ("What is MODEL_CACHE_SIZE?", "MODEL_CACHE_SIZE"), ("and by default?", "MODEL_CACHE_SIZE is 3"),
                               ("thanks", "welcome"), ("bye", "Goodbye!")]:
        answer = chat(demo, *history, question)
        assert expected in answer, f"{question}: {answer}"
        history += [question, answer]


def test_it_answers_questions_it_was_not_trained_on(demo):
    """A part of the held-out set over HTTP, with the bar of the whole set; the model card has the whole set's figures."""
    subprocess.run([sys.executable, ROOT / "models/demo/eval.py", "--base-url", demo.url, "--model", "sutazai-demo",
                    "--limit", "120", "--min-score", "0.85"], check=True, timeout=200 * harness.SLOWDOWN)


def settings_of_env_example():
    """{name: (default, [(least, most)] of the comment above it)}"""
    found, comment = {}, []
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment.append(line)
        elif "=" in line:
            name, default = line.split("=", 1)
            found[name] = default, re.findall(r"\((\d\S*) to (\d[^\s,);:]*)", " ".join(comment))
        else:
            comment = []
    return found


def test_its_text_agrees_with_the_settings():
    """What the text says of a setting's default and range is what .env.example says."""
    settings = settings_of_env_example()
    spaced = {name: re.sub(r"(?<=\d)(?=[KMG]iB$)", " ", default) for name, (default, _) in settings.items()}
    text = (ROOT / "models/demo/facts/settings.txt").read_text(encoding="utf-8")
    checked = 0
    for block in text.split("\n\n"):
        name = re.search(r"^@setting (\w+)", block, re.MULTILINE)
        if not name or name[1] not in settings:
            continue
        default, ranges = settings[name[1]]
        said = re.search(r"^default: (.*)$", block, re.MULTILINE)
        if said and default:
            assert re.search(rf"(?<!\w){re.escape(spaced[name[1]])}(?!\w)", said[1]), block
            checked += 1
        said = re.search(r"^type: .* from (\d+(?: [KMG]iB)?) to (\d+(?: [KMG]iB)?)\.$", block, re.MULTILINE)
        if said:
            assert (said[1].replace(" ", ""), said[2].replace(" ", "")) in ranges, block
            checked += 1
        for setting, value in re.findall(r"\b([A-Z][A-Z_]+)=(\S+?)[. ]", block):
            assert setting in settings, block
            if ranges and value.isdigit() and setting == name[1]:
                assert any(low.isdigit() and int(low) <= int(value) <= int(high) for low, high in ranges), block
    assert checked > 30
