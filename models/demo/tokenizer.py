"""Byte-level BPE: trainer, encoder and decoder, in the form llama.cpp reads as tokenizer `gpt2`, pre-tokenizer `qwen2`.

    tokenizer.py train CORPUS.jsonl tokenizer.json --vocab 3072

Ids: 0..255 bytes in the order of BYTE_CHARS, then one id per merge, then SPECIALS.
"""
import argparse
import collections
import json
import re

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

# The pre-tokenizer of `qwen2` with \p{L} and \p{N} spelt in terms of the standard library's \w and \d.
_LETTER = r"[^\W\d_]"
_WORDS = re.compile(
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
    rf"|(?:[^\r\n\w]|_)?{_LETTER}+|\d| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_chars():
    """GPT-2's printable stand-in for each byte, in id order."""
    shown = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = {byte: chr(byte) for byte in shown}
    for offset, byte in enumerate(byte for byte in range(256) if byte not in chars):
        chars[byte] = chr(256 + offset)
    return chars


BYTE_CHARS = _byte_chars()
_CHAR_BYTES = {char: byte for byte, char in BYTE_CHARS.items()}


class Tokenizer:
    def __init__(self, merges):
        self.merges = [tuple(pair) for pair in merges]
        self.tokens = [BYTE_CHARS[byte] for byte in sorted(BYTE_CHARS)]
        self.tokens += [left + right for left, right in self.merges] + SPECIALS
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self.eot, self.im_start, self.im_end = (self.ids[token] for token in SPECIALS)
        self._ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self._cache = {}

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(json.load(file)["merges"])

    def encode(self, text):
        """Ids of plain text; specials are never produced."""
        ids = []
        for word in _WORDS.findall(text):
            known = self._cache.get(word)
            if known is None:
                known = self._cache[word] = self._encode_word(word)
            ids += known
        return ids

    def _encode_word(self, word):
        parts = [BYTE_CHARS[byte] for byte in word.encode()]
        while len(parts) > 1:
            best = min(zip(parts, parts[1:]), key=lambda pair: self._ranks.get(pair, 1 << 30))
            if best not in self._ranks:
                break
            parts = _merge(parts, best)
        return [self.ids[part] for part in parts]

    def encode_chat(self, messages, add_assistant=True):
        """Ids of a chat as the GGUF's template writes it, open for the assistant's next answer."""
        ids = []
        for message in messages:
            ids += [self.im_start, *self.encode(message["role"] + "\n" + message["content"]), self.im_end]
            ids += self.encode("\n")
        if add_assistant:
            ids += [self.im_start, *self.encode("assistant\n")]
        return ids

    def decode(self, ids):
        text = "".join(self.tokens[index] for index in ids if index < self.eot)
        return bytes(_CHAR_BYTES[char] for char in text).decode(errors="replace")


def _merge(parts, pair):
    merged, index = [], 0
    while index < len(parts):
        if index + 1 < len(parts) and (parts[index], parts[index + 1]) == pair:
            merged.append(parts[index] + parts[index + 1])
            index += 2
        else:
            merged.append(parts[index])
            index += 1
    return merged


def train(texts, vocab_size):
    """The most frequent pair is merged first; ties go to the pair that sorts first, so that a corpus has one result."""
    words = collections.Counter()
    for text in texts:
        words.update(_WORDS.findall(text))
    parts = {word: [BYTE_CHARS[byte] for byte in word.encode()] for word in words}
    counts, where = collections.Counter(), collections.defaultdict(set)
    for word, pieces in parts.items():
        for pair in zip(pieces, pieces[1:]):
            counts[pair] += words[word]
            where[pair].add(word)
    merges = []
    while len(merges) < vocab_size - 256 - len(SPECIALS):
        top = max(counts.values(), default=0)
        if top < 1:
            raise SystemExit(f"the corpus holds too few words for {vocab_size} tokens: {len(merges)} merges")
        best = min(pair for pair, count in counts.items() if count == top)
        merges.append(best)
        for word in list(where[best]):
            before, after = parts[word], _merge(parts[word], best)
            for pair in zip(before, before[1:]):
                counts[pair] -= words[word]
            for pair in zip(after, after[1:]):
                counts[pair] += words[word]
                where[pair].add(word)
            parts[word] = after
        del counts[best], where[best]
    return merges


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["train"])
    parser.add_argument("corpus")
    parser.add_argument("output")
    parser.add_argument("--vocab", type=int, default=3072)
    parser.add_argument("--chats", type=int, default=40000, help="chats of the corpus to count words in")
    args = parser.parse_args()
    texts = []
    with open(args.corpus, encoding="utf-8") as file:
        for _, line in zip(range(args.chats), file):
            # The role's line start is part of what the template writes around each message.
            texts += [m["role"] + "\n" + m["content"] for m in json.loads(line)["messages"]]
    with open(args.output, "w", encoding="utf-8") as file:
        json.dump({"merges": train(texts, args.vocab)}, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
