"""`sutazai run` at a terminal: a conversation."""

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import time

import pytest

import harness
from pictures import png

PROMPT = b">>> "


class Terminal:
    """`sutazai run` with a pseudo-terminal of its own, whose keys are typed and whose screen is read here."""

    def __init__(self, folder, *arguments: str):
        self.folder = folder
        self.keyboard, screen = pty.openpty()

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [harness.BINARY, "run", *arguments],
            cwd=folder,
            env=harness.clean_environment(SUTAZAI_HOME=str(folder / "home"), TERM="xterm"),
            stdin=screen,
            stdout=screen,
            stderr=screen,
            preexec_fn=take_terminal,
        )
        os.close(screen)
        self.seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self.keyboard, keys)

    def read_until(self, what: bytes, seconds: float = 20) -> bytes:
        """Everything up to and with `what`, which is then forgotten."""
        deadline = time.monotonic() + seconds * harness.SLOWDOWN
        while what not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"waited for {what!r}, saw {self.seen!r}"
            if select.select([self.keyboard], [], [], left)[0]:
                try:
                    self.seen += os.read(self.keyboard, 65536)
                except OSError:  # the other end is closed
                    assert what in self.seen, f"ended before {what!r}, saw {self.seen!r}"
        head, _, self.seen = self.seen.partition(what)
        return head + what

    def end(self) -> int:
        return self.process.wait(20 * harness.SLOWDOWN)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.keyboard)


@pytest.fixture
def conversation(tmp_path, toy):
    started = []

    def start(*arguments: str) -> Terminal:
        terminal = Terminal(tmp_path, "--model", toy, "toy", *arguments)
        started.append(terminal)
        terminal.read_until(PROMPT)
        return terminal

    yield start
    for terminal in started:
        engines = harness.engines_of(terminal.process.pid, tmp_path)
        terminal.close()
        assert not any(harness.is_running(pid) for pid in engines)


def test_a_conversation(conversation):
    terminal = conversation("--max-tokens", "8")
    engines = harness.engines_of(terminal.process.pid, terminal.folder)
    assert len(engines) == 1
    for question in (b"Hello", b"And again"):
        terminal.type(question + b"\r")
        assert re.search(rb"\S", terminal.read_until(PROMPT).removeprefix(question).removesuffix(PROMPT))
    terminal.type(b"/clear\r")
    terminal.read_until(PROMPT)
    terminal.type(b"/bye\r")
    assert terminal.end() == 0
    assert not harness.is_running(engines[0])


def test_ctrl_c_stops_the_answer_and_ctrl_d_leaves(conversation):
    terminal = conversation("--context-tokens", "131072")
    for _ in range(2):
        terminal.type(b"Tell me a very long story\r")
        terminal.read_until(b"story\r\n")
        time.sleep(0.2 * harness.SLOWDOWN)
        terminal.type(b"\x03")
        terminal.read_until(PROMPT, 5)
    terminal.type(b"\x03")  # at the prompt it only starts a new one
    terminal.read_until(PROMPT, 5)
    terminal.type(b"\x04")
    assert terminal.end() == 0


def test_what_can_be_set_and_shown(conversation, tmp_path):
    terminal = conversation("--max-tokens", "4")

    def said(line: bytes) -> bytes:
        terminal.type(line + b"\r")
        return terminal.read_until(PROMPT)

    assert b"/set parameter" in said(b"/?")
    assert b"architecture" in said(b"/show info")
    assert b"FROM toy" in said(b"/show modelfile")
    said(b"/set system Be brief.")
    assert b"Be brief." in said(b"/show system")
    said(b"/set parameter temperature 0")
    said(b"/set parameter num_predict 3")
    assert b"num_predict 3" in said(b"/show parameters")
    assert b"at most 2" in said(b"/set parameter temperature 9")
    assert b"not known" in said(b"/set parameter colour red")
    assert b"loaded" in said(b"/set parameter num_ctx 4096")
    assert b"not known" in said(b"/nonsense")
    assert re.search(rb"\S", said(b"Hello").removeprefix(b"Hello").removesuffix(PROMPT))
    terminal.type(b"/bye\r")
    assert terminal.end() == 0


def test_a_text_of_several_lines_and_an_image(conversation, tmp_path):
    terminal = conversation("--max-tokens", "4")
    terminal.type(b'"""first\r')
    terminal.read_until(b"... ")
    terminal.type(b'second"""\r')
    assert re.search(rb"\S", terminal.read_until(PROMPT).removeprefix(b'second"""').removesuffix(PROMPT))
    terminal.type(b'"""given up\r')
    terminal.read_until(b"... ")
    terminal.type(b"\x03")
    terminal.read_until(PROMPT)
    (tmp_path / "cat.png").write_bytes(b"x")
    terminal.type(b"what is in ./cat.png?\r")
    assert b"is no image that is known here" in terminal.read_until(PROMPT)
    (tmp_path / "cat.png").write_bytes(png())
    terminal.type(b"what is in ./cat.png?\r")
    assert b"takes no images: it has no projector" in terminal.read_until(PROMPT)
    terminal.type(b"\x04")
    assert terminal.end() == 0


def test_lines_can_be_edited_and_called_back(conversation):
    left, up, backspace = b"\x1b[D", b"\x1b[A", b"\x7f"
    terminal = conversation("--max-tokens", "4")

    def typed(keys: bytes) -> bytes:
        terminal.type(keys)
        return terminal.read_until(b"\r\n") + terminal.read_until(PROMPT)

    typed(b"/set system Be bref." + 3 * left + b"i\r")
    assert b"Be brief.\r\n" in typed(b"/show system\r")
    typed(2 * up + backspace + b", please.\r")
    assert b"Be brief, please.\r\n" in typed(b"/show system\r")
    typed("/set system Say café".encode() + backspace + b"e.\r")
    assert b"Say cafe.\r\n" in typed(b"/show system\r")
    terminal.type(b"/bye, or rather not")
    terminal.read_until(b"not")
    terminal.type(b"\x03")  # drops the line
    terminal.read_until(PROMPT)
    assert b"Say cafe.\r\n" in typed(b"/show system\r")
    terminal.type(b"/bye\r")
    assert terminal.end() == 0


def test_a_terminal_without_control_of_its_cursor(tmp_path, toy, monkeypatch):
    environment = harness.clean_environment
    monkeypatch.setattr(harness, "clean_environment", lambda **settings: environment(**(settings | {"TERM": "dumb"})))
    terminal = Terminal(tmp_path, "--model", toy, "toy", "--max-tokens", "4")
    try:
        terminal.read_until(PROMPT)
        terminal.type(b"/show system\r")
        terminal.read_until(PROMPT)
        assert b"\x1b" not in terminal.seen
        terminal.type(b"\x04")
        assert terminal.end() == 0
    finally:
        terminal.close()
