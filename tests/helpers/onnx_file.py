"""A tiny ONNX model, written byte by byte, since the package that writes them is not needed."""

from pathlib import Path

import numpy as np

FRAME_SAMPLES = 160
# Of onnx.proto: data types, and what an attribute or tensor may be.
_FLOAT, _INT64 = 1, 7


def write_listener(file: Path, heard: np.ndarray) -> Path:
    """A model that hears a waveform (sample,) and gives scores (frame, class).

    The scores of a frame of 160 samples are |samples| @ heard, heard being (160, class).
    """
    nodes = [
        _node("Reshape", ["waveform", "shape"], "frames"),
        _node("Abs", ["frames"], "loudness"),
        _node("MatMul", ["loudness", "heard"], "scores"),
    ]
    shape = np.array([-1, FRAME_SAMPLES], np.int64)
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"listener")
    graph += _field(5, _tensor("shape", shape, _INT64))
    graph += _field(5, _tensor("heard", heard.astype(np.float32), _FLOAT))
    graph += _field(11, _value("waveform", [b"samples"]))
    graph += _field(12, _value("scores", [b"frame", b"class"]))
    opset = _field(1, b"") + _number(2, 13)
    file.write_bytes(_number(1, 8) + _field(7, graph) + _field(8, opset))
    return file


def _node(kind: str, inputs: list[str], output: str) -> bytes:
    given = b"".join(_field(1, name.encode()) for name in inputs)
    return given + _field(2, output.encode()) + _field(4, kind.encode())


def _tensor(name: str, values: np.ndarray, data_type: int) -> bytes:
    dims = b"".join(_number(1, size) for size in values.shape)
    return dims + _number(2, data_type) + _field(8, name.encode()) + _field(9, values.tobytes())


def _value(name: str, dims: list[bytes]) -> bytes:
    shape = b"".join(_field(1, _field(2, dim)) for dim in dims)
    of_type = _field(1, _number(1, _FLOAT) + _field(2, shape))
    return _field(1, name.encode()) + _field(2, of_type)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        out.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(out)
