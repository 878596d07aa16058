"""The demo model that comes with the product: the default model, and what it answers."""

import pathlib
import subprocess
import sys

import httpx
import pytest

import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A server on which nothing was configured."""
    server = harness.Server(tmp_path_factory.mktemp("demo"))
    try:
        yield server.wait_for_ready()
        server.stop()
    finally:
        server.kill()


def test_the_files_are_what_the_card_says():
    subprocess.run([sys.executable, ROOT / "models/demo/check.py"], check=True)


def test_it_is_the_default_and_knows_its_settings(demo):
    answer = httpx.post(f"{demo.url}/api/v1/streaming/chat/stream", timeout=60, json={
        "messages": [{"role": "user", "content": "What does BATCH_SIZE do?"}], "temperature": 0, "stream": False}).json()
    assert answer["model"] == "sutazai-demo"
    assert answer["finish_reason"] == "stop"
    assert "sequences" in answer["content"] or "together" in answer["content"], answer["content"]


def test_it_answers_questions_it_was_not_trained_on(demo):
    """A part of the held-out set over HTTP; the bar of the whole set, 85 %, is the model card's."""
    subprocess.run([sys.executable, ROOT / "models/demo/eval.py", "--base-url", demo.url, "--model", "sutazai-demo",
                    "--limit", "200", "--min-score", "0.78"], check=True, timeout=280)
