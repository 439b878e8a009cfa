"""From the file as it was stored to one that the readers take: unpacked, and text in UTF-8. Bounded, for a file of a
few kilobytes may unpack to terabytes.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from .encodings import encoding_of
from .failures import TooLarge, Unreadable
from .formats import Compression

_CHUNK = 1024**2
_GZIP = 16 + zlib.MAX_WBITS


def unpacked(
    file: Path, compression: Compression, *, max_bytes: int, complete: bool, enough: int | None
) -> tuple[Path, bool]:
    """The unpacked file, and whether it is whole: `enough` bytes of it end the work."""
    target = file.with_name("unpacked")
    parts = _gunzipped(file, complete) if compression == "gzip" else _unzstd(file, complete)
    total = 0
    with target.open("wb") as written:
        for part in parts:
            total += len(part)
            if enough is not None and total > enough:
                return target, False
            if total > max_bytes:
                raise TooLarge(
                    f"unpacks to more than the limit of {max_bytes:,} bytes; store it in smaller files"
                )
            written.write(part)
    return target, complete


def _gunzipped(file: Path, complete: bool) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    with file.open("rb") as packed:
        while chunk := packed.read(_CHUNK):
            while chunk:
                if unpacker.eof:  # several members may follow each other; zeros that fill a block up may too
                    if not chunk.strip(b"\0"):
                        break
                    unpacker = zlib.decompressobj(_GZIP)
                try:
                    yield unpacker.decompress(chunk, _CHUNK)
                except zlib.error as error:
                    raise Unreadable(f"its gzip compression is damaged ({error})") from None
                chunk = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    if complete and not unpacker.eof:
        raise Unreadable("its gzip compression ends too early: the file is incomplete")


def _unzstd(file: Path, complete: bool) -> Iterator[bytes]:
    """pyarrow is here anyway, and the standard library learns zstd only with Python 3.14."""
    import pyarrow as pa

    with pa.OSFile(str(file)) as packed, pa.CompressedInputStream(packed, "zstd") as stream:
        while True:
            try:
                part = stream.read(_CHUNK)
            except OSError as error:
                if complete:
                    raise Unreadable(f"its zstd compression is damaged ({error})") from None
                return
            if not part:
                return
            yield part


def as_utf8(file: Path, *, complete: bool, max_bytes: int) -> Path:
    """The same text in UTF-8 without a mark; of an incomplete file up to its last complete line."""
    text = file
    encoding = encoding_of(_telling_sample(file))
    if encoding != "utf-8" or not _is_utf8(file, complete):
        text = file.with_name("text")
        _transcode(file, text, encoding, max_bytes)
    if not complete:
        _cut_at_last_line(text)
    return text


def _telling_sample(file: Path) -> bytes:
    """The beginning, or from the first bytes on that are not ASCII."""
    with file.open("rb") as read:
        beginning = sample = read.read(_CHUNK)
        while sample.isascii() and (following := read.read(_CHUNK)):
            sample = following
    return beginning if beginning is sample or sample.isascii() or 0 in beginning[:4096] else sample


def _is_utf8(file: Path, complete: bool) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(file):
            decoder.decode(chunk)
        decoder.decode(b"", complete)
    except UnicodeDecodeError:
        return False
    return True


def _transcode(file: Path, target: Path, encoding: str, max_bytes: int) -> None:
    """What has no meaning in the encoding becomes U+FFFD."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    total = 0
    with target.open("wb") as written:
        for chunk in _chunks(file):
            part = decoder.decode(chunk).encode("utf-8", "replace")
            total += len(part)
            if total > max_bytes:
                raise TooLarge(f"is text of more than the limit of {max_bytes:,} bytes in UTF-8")
            written.write(part)


def _chunks(file: Path) -> Iterable[bytes]:
    with file.open("rb") as read:
        yield from iter(lambda: read.read(_CHUNK), b"")


def _cut_at_last_line(text: Path) -> None:
    with text.open("rb+") as file:
        content = file.read()
        file.truncate((content.rfind(b"\n") if b"\n" in content else content.rfind(b"\r")) + 1)
