"""Models that say what they are told to: `sutazai model synth --preset scripted`."""

import json
import pathlib

import harness

#: Control tokens of the dialects, which are one token each where they come first.
CONTROLS = ["<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|constrain|>", "[TOOL_CALLS]"]


def in_pieces(texts: dict[str, str]) -> dict[str, list[str]]:
    """Each text in pieces of which no two are alike in all of them, and most are short."""
    used: set[str] = set()
    controls = list(CONTROLS)

    def pieces_of(text: str) -> list[str]:
        pieces: list[str] = []
        at = 0
        while at < len(text):
            control = next((name for name in controls if text.startswith(name, at)), None)
            if control:
                controls.remove(control)
                pieces.append(control)
                at += len(control)
                continue
            length = 3
            while at + length < len(text) and text[at : at + length] in used:
                length += 1
            piece = text[at : at + length]
            if piece in used:  # the rest of the text
                last = pieces.pop()
                used.discard(last)
                piece = last + piece
                assert piece not in used, f"cut {text!r} by hand"
            used.add(piece)
            pieces.append(piece)
            at += length
        return pieces

    return {key: pieces_of(text) for key, text in texts.items()}


def make(folder: pathlib.Path, dialect: str, scripts: dict[str, list]) -> pathlib.Path:
    path = folder / f"{dialect}.gguf"
    listed = folder / f"{dialect}.json"
    listed.write_text(json.dumps(scripts))
    made = harness.run_binary("model", "synth", "--preset", "scripted", "--dialect", dialect, "--scripts", str(listed),
                              "--output", str(path), folder=folder)  # fmt: skip
    assert made.returncode == 0, made.stderr
    return path
