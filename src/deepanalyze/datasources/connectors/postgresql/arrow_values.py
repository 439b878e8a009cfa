"""PostgreSQL's text forms as Arrow arrays, where the CSV reader alone does not do.

Imports pyarrow, which takes a while: for worker threads.
"""

from __future__ import annotations

import binascii

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.adapt import Transformer
from psycopg.pq import Format

_TEXT_ARRAY_OID = 1009
_PIECE_BYTES = 256 * 1024  # decoded with the interpreter's lock held, which others want too


class Unfit(ValueError):
    """A value that the column's type cannot hold. `args[0]` is its text."""


def labelled(labels: pa.Array, column: pa.Array) -> pa.Array:
    """Texts as values of an enum, whose labels are always all there and in their order."""
    codes = pc.index_in(column, value_set=labels)
    _refuse(column, pc.and_(codes.is_null(), column.is_valid()))
    return pa.DictionaryArray.from_arrays(codes, labels, ordered=True)


def in_utc(column: pa.Array) -> pa.Array:
    return column.view(pa.timestamp("us", "UTC"))


def from_hexadecimal(column: pa.Array) -> pa.Array:
    """All values at once: what stands for n bytes takes 2n characters, in the data as in the offsets."""
    validity, offsets, data = column.buffers()
    if column.offset or data is None:
        return pa.array([None if v is None else bytes.fromhex(v) for v in column.to_pylist()], pa.binary())
    ends = np.frombuffer(offsets, np.int32, len(column) + 1)
    digits = memoryview(data)[ends[0] : ends[-1]]
    pieces = [
        binascii.unhexlify(digits[start : start + _PIECE_BYTES])
        for start in range(0, len(digits), _PIECE_BYTES)
    ]
    halved = ((ends - ends[0]) // 2).astype(np.int32)
    buffers = [validity, pa.py_buffer(halved), pa.py_buffer(b"".join(pieces))]
    return pa.Array.from_buffers(pa.binary(), len(column), buffers, column.null_count)


def read_text(type_: pa.DataType, column: pa.Array) -> pa.Array:
    """Texts as values of the type; raises ArrowInvalid with the text of one that is none."""
    if pa.types.is_boolean(type_):
        return pc.equal(column, "t")
    if pa.types.is_binary(type_):
        return from_hexadecimal(pc.utf8_slice_codeunits(column, 2))  # after the \x
    if pa.types.is_time(type_):  # has no reader of its own
        _refuse(column, pc.starts_with(column, "24"))
        moments = pc.binary_join_element_wise("1970-01-01", column, " ")
        return moments.cast(pa.timestamp("us")).cast(type_)
    return column.cast(type_)


def from_literals(element: pa.DataType, column: pa.Array) -> pa.Array:
    """`{1,NULL,3}` as a list. One that has several dimensions, or does not begin at 1, has no equal in Arrow."""
    _refuse(column, pc.or_(pc.starts_with(column, "["), pc.starts_with(column, "{{")))
    if pa.types.is_timestamp(element):  # quoted for their spaces; they hold nothing that had to be
        column = pc.replace_substring(column, '"', "")
    if pc.any(pc.match_substring(column, '"')).as_py():
        lengths, values = _parsed(column)
    else:
        lengths, values = _split(column)
    offsets = np.zeros(len(column) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(
        pa.array(offsets),
        read_text(element, values),
        type=pa.list_(pa.field("element", element)),
        mask=column.is_null(),
    )


def _split(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Where nothing is quoted, commas part the elements, and NULL is one that is absent."""
    inner = pc.replace_substring_regex(column, r"^\{|\}$", "")
    parts = pc.split_pattern(inner, ",")
    lengths = pc.if_else(pc.equal(inner, ""), 0, pc.list_value_length(parts))
    values = pc.list_flatten(parts)
    values = values.filter(pc.not_equal(values, ""))  # what splitting makes of an empty array
    values = pc.if_else(pc.equal(values, "NULL"), pa.scalar(None, pa.string()), values)
    return pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False), values


def _parsed(column: pa.Array) -> tuple[np.ndarray, pa.Array]:
    load = Transformer().get_loader(_TEXT_ARRAY_OID, Format.TEXT).load
    lists = [[] if text is None else load(text.encode()) for text in column.to_pylist()]
    values = [value for elements in lists for value in elements]
    return np.fromiter(map(len, lists), np.int32, len(lists)), pa.array(values, pa.string())


def _refuse(column: pa.Array, where: pa.Array) -> None:
    if pc.any(where).as_py():
        raise Unfit(column.filter(where)[0].as_py())


class Digits:
    """How many digits the numbers of a column take, before and behind the point, and whether all are numbers."""

    def __init__(self) -> None:
        self.whole = 1
        self.scale = 0
        self.special = False

    def see(self, column: pa.Array) -> None:
        texts = column.drop_null()
        if self.special or not len(texts):
            return
        self.special = bool(pc.any(pc.match_substring_regex(texts, "[a-zA-Z]")).as_py())
        lengths = pc.binary_length(texts)
        points = pc.find_substring(texts, ".")
        whole = pc.if_else(pc.less(points, 0), lengths, points)
        behind = pc.if_else(pc.less(points, 0), 0, pc.subtract(pc.subtract(lengths, points), 1))
        signs = pc.starts_with(texts, "-").cast(pa.int32())
        self.whole = max(self.whole, pc.max(pc.subtract(whole, signs)).as_py())
        self.scale = max(self.scale, pc.max(behind).as_py())
