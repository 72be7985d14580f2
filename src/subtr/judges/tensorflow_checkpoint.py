"""Tensors of a TensorFlow checkpoint, read without TensorFlow."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from subtr.params import SettingsError

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_FLOAT32 = 1
# Wire types and fields of the protocol buffers BundleEntryProto and TensorShapeProto.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DTYPE, _SHAPE, _OFFSET, _SIZE = 1, 2, 4, 5
_SHAPE_DIM, _DIM_SIZE = 2, 1


def read_checkpoint(index: Path, data: Path) -> dict[str, Float32[np.ndarray, "..."]]:
    """Name to values of all single-precision variables of one unsharded checkpoint.

    Arguments
        index: the file that ends in .index, a sorted table of names and places.
        data: the file that ends in .data-00000-of-00001.

    Raises
        SettingsError: not a checkpoint of this kind.

    Source: tensorflow/core/util/tensor_bundle; LevelDB's table format, here never compressed.
    """
    table, values = index.read_bytes(), data.read_bytes()
    if int.from_bytes(table[-8:], "little") != _MAGIC:
        raise SettingsError(f"{index} is no index of a TensorFlow checkpoint: install it anew.")
    tensors = {}
    for name, entry in _entries(table):
        fields = dict(_fields(entry))
        if name and fields.get(_DTYPE) == _FLOAT32:
            first = fields.get(_OFFSET, 0)
            shape = [
                dict(_fields(dim)).get(_DIM_SIZE, 0)
                for field, dim in _fields(fields.get(_SHAPE, b""))
                if field == _SHAPE_DIM
            ]
            flat = np.frombuffer(values, "<f4", fields[_SIZE] // 4, first)
            tensors[name.decode()] = flat.reshape(shape)
    return tensors


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table: its footer finds the index block, that finds the data blocks."""
    footer = table[-_FOOTER_BYTES:]
    _, _, at = _handle(footer, 0)
    offset, size, _ = _handle(footer, at)
    for _, handle in _block(table, offset, size):
        offset, size, _ = _handle(handle, 0)
        yield from _block(table, offset, size)


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; each key begins with a part of the one before it."""
    if table[offset + size] != 0:
        raise SettingsError("A compressed checkpoint cannot be read: expected a plain one.")
    n_restarts = int.from_bytes(table[offset + size - 4 : offset + size], "little")
    end = offset + size - 4 * (n_restarts + 1)
    key, at = b"", offset
    while at < end:
        shared, at = _varint(table, at)
        own, at = _varint(table, at)
        length, at = _varint(table, at)
        key = key[:shared] + table[at : at + own]
        yield key, table[at + own : at + own + length]
        at += own + length


def _handle(text: bytes, at: int) -> tuple[int, int, int]:
    offset, at = _varint(text, at)
    size, at = _varint(text, at)
    return offset, size, at


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if length is None:
                length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        yield tag >> 3, value


def _varint(text: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = text[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
