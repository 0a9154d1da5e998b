"""Makes a published ONNX graph of fixed input size take pictures of any size, by rewriting the few bytes that fix it.

The kiosk does not carry the `onnx` library. What is read here is the encoding of protocol buffers, with the field numbers of
onnx.proto: a model's graph is field 7; of a graph the inputs are 11, the outputs 12 and the shapes in between 13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

_GRAPH: Final = 7
_INPUT, _OUTPUT, _BETWEEN = 11, 12, 13
_TYPE: Final = 2
_TENSOR: Final = 1
_SHAPE: Final = 2
_DIMENSION: Final = 1
_NAMED: Final = 2

_Edit = Callable[[bytes], bytes | None]
"""Returns what is to stand in a field's place; None takes the field away."""


def any_size(model: bytes) -> bytes:
    """Return the model with rows and columns of its input free, and no shape said of anything behind it.

    Args:
        model: an ONNX file whose first input is (count, channels, rows, columns) and whose other sizes follow from it.

    Raises:
        ValueError: these bytes are no such file.
    """
    try:
        return _edited(model, {_GRAPH: lambda graph: _edited(graph, {_INPUT: _freed, _OUTPUT: _untold, _BETWEEN: _dropped})})
    except IndexError:
        raise ValueError("the file is cut short") from None


def _dropped(_: bytes) -> None:
    return None


def _untold(value: bytes) -> bytes:
    """Leave open every dimension of an output."""
    return _with_shape(value, lambda dimensions: _edited(dimensions, {_DIMENSION: lambda _: b""}))


def _freed(value: bytes) -> bytes:
    """Give the third and fourth dimension of an input a name instead of a number."""

    def shape(dimensions: bytes) -> bytes:
        names = iter((None, None, b"rows", b"columns"))

        def dimension(fixed: bytes) -> bytes:
            name = next(names, None)
            return fixed if name is None else _field(_NAMED, name)

        return _edited(dimensions, {_DIMENSION: dimension})

    return _with_shape(value, shape)


def _with_shape(value: bytes, edit: _Edit) -> bytes:
    """Return an input or output with its shape edited."""
    return _edited(value, {_TYPE: lambda kind: _edited(kind, {_TENSOR: lambda tensor: _edited(tensor, {_SHAPE: edit})})})


def _edited(message: bytes, edits: Mapping[int, _Edit]) -> bytes:
    """Return a message with some of its length-delimited fields replaced, all others as they are.

    Raises:
        IndexError: it ends in the middle of a field.
        ValueError: it is no message.
    """
    out = bytearray()
    at = 0
    while at < len(message):
        begun = at
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 2:
                length, at = _varint(message, at)
                at += length
            case 5:
                at += 4
            case kind:
                raise ValueError(f"no field has encoding {kind}")
        if at > len(message):
            raise IndexError
        edit = edits.get(tag >> 3)
        if edit is None or tag & 7 != 2:
            out += message[begun:at]
        elif (content := edit(message[at - length : at])) is not None:
            out += _field(tag >> 3, content)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _as_varint(number << 3 | 2) + _as_varint(len(content)) + content


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends.

    Raises:
        IndexError: the bytes end before it.
        ValueError: it is longer than any can be.
    """
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number without end")


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
