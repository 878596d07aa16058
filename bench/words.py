"""Deterministic English-looking text, so that the benchmarks need no data. Every word, with the space before it, is one
token in Qwen2's vocabulary and in the toy model's, so lengths in words are lengths in tokens."""

import random

WORDS = (
    "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not "
    "what all were we when your can said there use an each which she do how their if will up other about out many then "
    "them these so some her would make like him into time has look two more write go see number no way could people my "
    "than first water been call who oil its now find long down day did get come made may part over new sound take only "
    "little work know place year live me back give most very after thing our just name good sentence man think say "
    "great where help through much before line right too mean old any same tell boy follow came want show also around"
).split()


def text(words, seed):
    """That many words, each after a space; the same for the same seed."""
    chooser = random.Random(f"text {seed}")
    return "".join(" " + chooser.choice(WORDS) for _ in range(words))


class TextSource:
    """Hands out stretches of text: of a file from its start on, or of `text` above when there is no file."""

    def __init__(self, file=None):
        self._words = None
        if file:
            with open(file, encoding="utf-8") as opened:
                self._words = opened.read().split()

    def take(self, words, seed):
        if self._words is None:
            return text(words, seed)
        start = (seed * 7919) % max(1, len(self._words) - words)
        return " " + " ".join(self._words[start:start + words])
