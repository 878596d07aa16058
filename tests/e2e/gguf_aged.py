"""Writes a GGUF file again with other metadata and other tensors, as Ollama's own converter wrote some."""

import pathlib
import struct
from dataclasses import dataclass

from gguf_split import Reader, padded, text_bytes

STRING, ARRAY, UINT32, INT32, FLOAT32 = 8, 9, 4, 5, 6


@dataclass
class Tensor:
    name: str
    shape_and_type: bytes  # as they stand between name and offset
    data: memoryview


class Gguf:
    """A file in memory: values of `pairs` are their type and bytes as they stand in the file."""

    def __init__(self, path: pathlib.Path):
        data = path.read_bytes()
        reader = Reader(data)
        assert data[:4] == b"GGUF"
        reader.at = 4
        assert reader.number("I") == 3
        n_tensors, n_pairs = reader.number("Q"), reader.number("Q")
        self.pairs: dict[str, bytes] = {}
        for _ in range(n_pairs):
            key, begin = reader.text().decode(), reader.at
            reader.skip_value(reader.number("I"))
            self.pairs[key] = data[begin : reader.at]
        heads = []
        for _ in range(n_tensors):
            name, begin = reader.text().decode(), reader.at
            n_dimensions = reader.number("I")
            reader.at += 8 * n_dimensions + 4
            heads.append((name, data[begin : reader.at], reader.number("Q")))
        data_at = reader.at + -reader.at % 32
        ends = [offset for _, _, offset in heads[1:]] + [len(data) - data_at]
        view = memoryview(data)
        self.tensors = [
            Tensor(name, head, view[data_at + offset : data_at + end])
            for (name, head, offset), end in zip(heads, ends, strict=True)
        ]

    def texts(self, key: str) -> list[bytes]:
        """The elements of an array of texts."""
        kind, of, count = struct.unpack_from("<IIQ", self.pairs[key])
        assert (kind, of) == (ARRAY, STRING)
        reader = Reader(self.pairs[key][16:])
        return [reader.text() for _ in range(count)]

    def set_number(self, key: str, value: int) -> None:
        self.pairs[key] = struct.pack("<II", UINT32, value)

    def move(self, key: str, to: str) -> None:
        self.pairs[to] = self.pairs.pop(key)

    def lengthen(self, key: str, *more: bytes) -> None:
        """Puts elements, as they stand in the file, behind those of an array."""
        kind, of, count = struct.unpack_from("<IIQ", self.pairs[key])
        assert kind == ARRAY
        self.pairs[key] = struct.pack("<IIQ", kind, of, count + len(more)) + self.pairs[key][16:] + b"".join(more)

    def add_tensor(self, name: str) -> None:
        """One of 32 floats."""
        self.tensors.append(Tensor(name, struct.pack("<IQI", 1, 32, 0), memoryview(bytes(128))))

    def write(self, path: pathlib.Path) -> pathlib.Path:
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.pairs))
        head += b"".join(text_bytes(key.encode()) + value for key, value in self.pairs.items())
        offset = 0
        for tensor in self.tensors:
            head += text_bytes(tensor.name.encode()) + tensor.shape_and_type + struct.pack("<Q", offset)
            offset += len(tensor.data) + -len(tensor.data) % 32
        with path.open("wb") as file:
            file.write(padded(head))
            for tensor in self.tensors:
                file.write(tensor.data)
                file.write(b"\0" * (-len(tensor.data) % 32))
        return path


def age_gemma3(path: pathlib.Path, aged: pathlib.Path) -> pathlib.Path:
    """A Gemma 3 as Ollama has it: other names of its rotation, no epsilon, words of images, a vision part."""
    file = Gguf(path)
    del file.pairs["gemma3.attention.layer_norm_rms_epsilon"]
    file.move("gemma3.rope.freq_base", "gemma3.rope.global.freq_base")
    file.set_number("gemma3.mm.tokens_per_image", 256)
    for word in [b"<image_soft_token>", b"<image_hard_token>"]:
        file.lengthen("tokenizer.ggml.tokens", text_bytes(word))
        file.lengthen("tokenizer.ggml.scores", struct.pack("<f", 0))
        file.lengthen("tokenizer.ggml.token_type", struct.pack("<i", 3))
    file.add_tensor("v.blk.0.attn_q.weight")
    file.add_tensor("mm.mm_soft_emb_norm.weight")
    return file.write(aged)


def age_llama3(path: pathlib.Path, aged: pathlib.Path) -> pathlib.Path:
    """A Llama 3 that does not say how its texts are split."""
    file = Gguf(path)
    del file.pairs["tokenizer.ggml.pre"]
    file.set_number("tokenizer.ggml.eos_token_id", 128001)
    return file.write(aged)
