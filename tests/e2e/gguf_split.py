"""Splits a GGUF file in two, as llama.cpp's gguf-split does."""

import pathlib
import struct

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT16, _INT32 = 8, 9, 2, 5
_ALIGNMENT = 32


class Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def number(self, code: str):
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self) -> bytes:
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length : self.at]

    def skip_value(self, kind: int) -> None:
        if kind == _STRING:
            self.text()
        elif kind == _ARRAY:
            of, count = self.number("I"), self.number("Q")
            if of == _STRING:
                for _ in range(count):
                    self.text()
            else:
                self.at += _SIZES[of] * count
        else:
            self.at += _SIZES[kind]


def text_bytes(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)


def split(path: pathlib.Path, folder: pathlib.Path, name: str, extension: str = ".gguf") -> list[pathlib.Path]:
    """Two files that together are the model of `path`."""
    data = path.read_bytes()
    reader = Reader(data)
    assert reader.data[:4] == b"GGUF"
    reader.at = 4
    assert reader.number("I") == 3
    n_tensors, n_pairs = reader.number("Q"), reader.number("Q")
    pairs_at = reader.at
    for _ in range(n_pairs):
        assert reader.text() != b"general.alignment"
        reader.skip_value(reader.number("I"))
    pairs = data[pairs_at : reader.at]
    tensors = []  # name, what stands between name and offset, offset
    for _ in range(n_tensors):
        tensor_name, begin = reader.text(), reader.at
        n_dimensions = reader.number("I")
        reader.at += 8 * n_dimensions + 4
        tensors.append((tensor_name, data[begin : reader.at], reader.number("Q")))
    data_at = reader.at + -reader.at % _ALIGNMENT
    ends = [tensor[2] for tensor in tensors[1:]] + [len(data) - data_at]

    files = []
    for number, (first, last) in enumerate([(0, n_tensors // 2), (n_tensors // 2, n_tensors)]):
        own = b"".join(
            text_bytes(key) + struct.pack("<I" + code, kind, value)
            for key, kind, code, value in [
                (b"split.no", _UINT16, "H", number),
                (b"split.count", _UINT16, "H", 2),
                (b"split.tensors.count", _INT32, "i", n_tensors),
            ]
        )
        head = b"GGUF" + struct.pack("<IQQ", 3, last - first, 3 + (n_pairs if number == 0 else 0))
        head += own + (pairs if number == 0 else b"")
        body = b""
        for (tensor_name, middle, offset), end in zip(tensors[first:last], ends[first:last], strict=True):
            head += text_bytes(tensor_name) + middle + struct.pack("<Q", len(body))
            body += padded(data[data_at + offset : data_at + end])
        files.append(folder / f"{name}-{number + 1:05}-of-00002{extension}")
        files[-1].write_bytes(padded(head) + body)
    return files
