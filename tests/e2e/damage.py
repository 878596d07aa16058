"""Damages model files on purpose: what a bad disk, a cut download or a bad quantisation leaves behind."""

import math
import pathlib
import struct

#: Bytes of GGUF's value types; strings (8) and arrays (9) have none of their own.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_F32 = 0


class _Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, layout: str):
        value = struct.unpack_from("<" + layout, self.data, self.at)[0]
        self.at += struct.calcsize("<" + layout)
        return value

    def string(self) -> bytes:
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size : self.at]

    def value(self, kind: int):
        """The value, where it is a 32 bit number; else it is passed over."""
        if kind == 8:
            return self.string()
        if kind == 9:
            inner, n = self.take("I"), self.take("Q")
            for _ in range(n):
                self.value(inner)
            return None
        if kind == 4:
            return self.take("I")
        self.at += _SIZES[kind]
        return None


def fill_row(path: pathlib.Path, tensor: str, row: int, value: float = math.nan) -> None:
    """Writes `value` over one row of an F32 tensor of a GGUF file."""
    reader = _Reader(path.read_bytes())
    assert reader.data[:4] == b"GGUF"
    reader.at = 8
    n_tensors, n_values = reader.take("Q"), reader.take("Q")
    alignment = 32
    for _ in range(n_values):
        key = reader.string()
        got = reader.value(reader.take("I"))
        alignment = got if key == b"general.alignment" else alignment
    found = None
    for _ in range(n_tensors):
        name = reader.string().decode()
        shape = [reader.take("Q") for _ in range(reader.take("I"))]
        kind, offset = reader.take("I"), reader.take("Q")
        if name == tensor:
            assert kind == _F32, "only F32 is damaged here"
            found = offset + row * shape[0] * 4, shape[0]
    assert found, f"no tensor {tensor}"
    begin = (reader.at + alignment - 1) // alignment * alignment
    with path.open("r+b") as file:
        file.seek(begin + found[0])
        file.write(struct.pack("<f", value) * found[1])
