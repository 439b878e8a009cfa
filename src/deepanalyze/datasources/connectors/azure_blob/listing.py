"""Pages of a container's listing, as Azure sends them.

The SDK spends 0.2 ms on the event loop for every listed blob. Here a worker thread cuts the few wanted values out of
the text, for a twentieth of that; what is not written just as Azure and Azurite write it goes to an XML parser.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from typing import cast
from urllib.parse import quote, unquote, urlencode

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.paths import base_name

_PIECE_BYTES = 32 * 1024
_HTTP_DATE_LENGTH = len("Wed, 01 Jan 2020 00:00:00 GMT")
_WANTED = (
    "Last-Modified",
    "Etag",
    "ResourceType",
    "Content-Length",
    "Content-Type",
    "Content-Encoding",
    "Content-MD5",
    "AccessTier",
)
_TAGS = tuple((name, f"<{name}>", len(name) + 2) for name in _WANTED)
_BEGINNING = re.compile(
    r'\ufeff?(<\?xml version="1\.0" encoding="utf-8"[^<>]*\?>\s*)?<EnumerationResults[\s>]', re.IGNORECASE
)
_NAME = re.compile(r'\s*<Name( Encoded="true")?>([^<>]*)</Name>')
_NEEDS_PARSER = re.compile(r"[&\r]")


@dataclass(frozen=True, slots=True)
class Page:
    items: list[DataItem]
    next_marker: str | None


def listing_query(prefix: str, *, folders: bool, marker: str | None, max_results: int | None) -> str:
    query = {"restype": "container", "comp": "list", "prefix": prefix}
    if folders:
        query["delimiter"] = "/"
    if marker:
        query["marker"] = marker
    if max_results:
        query["maxresults"] = str(max_results)
    return urlencode(query, quote_via=quote)


def parse_page(body: bytes) -> Page:
    """For worker threads. Raises ValueError for what is not a listing."""
    try:
        return _cut(body)
    except (_Unusual, UnicodeDecodeError):
        return _parse(body)


class _Unusual(Exception):
    """The text is not written as expected, though it may well be a listing."""


def _cut(body: bytes) -> Page:
    """Without comments and CDATA, `<` is always markup, so that a tag found in the text is a tag."""
    items: list[DataItem] = []
    days: dict[str, int] = {}
    text = rest = ""
    for start, text in _texts(body):
        if "<!" in text or (start == 0 and not _BEGINNING.match(text)):
            raise _Unusual
        rest, *blobs = text.split("<Blob>")
        _cut_folders(rest, items)
        for blob in blobs:
            blob, closed, rest = blob.partition("</Blob>")
            if not closed:
                raise _Unusual
            item = _cut_blob(blob, days)
            if item is not None:
                items.append(item)
            if rest:
                _cut_folders(rest, items)
    if not text.rstrip().endswith("</EnumerationResults>"):
        raise _Unusual
    return Page(items, _cut_text(rest, "<NextMarker>", rest.rfind("<NextMarker>")))


def _texts(body: bytes) -> Iterator[tuple[int, str]]:
    """Pieces that end after a blob, and where they start: a function that runs over all of a page at once would hold
    the interpreter's lock, for which the event loop waits.
    """
    start = 0
    while start < len(body):
        end = body.find(b"</Blob>", start + _PIECE_BYTES)
        end = len(body) if end < 0 else end + len(b"</Blob>")
        yield start, body[start:end].decode()
        start = end


def _cut_folders(text: str, items: list[DataItem]) -> None:
    _, *pieces = text.split("<BlobPrefix>")
    items += [_folder(_cut_name(piece)[0]) for piece in pieces]


def _cut_blob(text: str, days: dict[str, int]) -> DataItem | None:
    path, start = _cut_name(text)
    start = text.find("<Properties>", start)
    end = text.find("</Properties>", start)
    if start < 0 or end < 0:
        raise _Unusual
    found: dict[str, str | None] = {}
    for name, tag, length in _TAGS:
        at = text.find(tag, start, end)
        if at >= 0:
            value = text[at + length : text.find("<", at + length)]
            found[name] = _exact(value) if "&" in value else value
    if "Content-Length" not in found:
        raise _Unusual
    return _blob(path, found, days)


def _cut_name(text: str) -> tuple[str, int]:
    """The name and where it ends."""
    found = _NAME.match(text)
    if found is None:
        raise _Unusual
    encoded, name = found.groups()
    if _NEEDS_PARSER.search(name):
        name = _exact(name)
    return (unquote(name) if encoded else name), found.end()


def _cut_text(text: str, tag: str, at: int) -> str | None:
    if at < 0:
        return None
    start = at + len(tag)
    return _exact(text[start : text.find("<", start)]) or None


def _exact(text: str) -> str:
    """What a text in XML stands for."""
    (element,) = _elements(f"<x>{text}</x>".encode())
    return element.text or ""


def _parse(body: bytes) -> Page:
    items: list[DataItem] = []
    days: dict[str, int] = {}
    marker: str | None = None
    tag = ""
    for element in _elements(body):
        tag = element.tag
        if tag == "NextMarker":
            marker = element.text or None
        elif tag == "BlobPrefix":
            items.append(_folder(_name(element)))
            element.clear()
        elif tag == "Blob":
            properties = {child.tag: child.text for child in element.iterfind("Properties/*")}
            item = _blob(_name(element), properties, days)
            items += [item] if item else []
            element.clear()
    if tag != "EnumerationResults":  # the outermost element ends last
        raise ValueError("not a listing")
    return Page(items, marker)


def _elements(body: bytes) -> Iterator[ET.Element]:
    """In the order in which they end. Read in pieces, because each holds the interpreter's lock, for which the event
    loop waits. libexpat bounds the growth of entities, and nothing external is loaded.
    """
    parser: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(("end",))
    try:
        for start in range(0, len(body), _PIECE_BYTES):
            parser.feed(body[start : start + _PIECE_BYTES])
            for _, element in cast("Iterator[tuple[str, ET.Element]]", parser.read_events()):
                yield element
        parser.close()
    except ET.ParseError as error:
        raise ValueError("not XML") from error


def _name(element: ET.Element) -> str:
    name = element.find("Name")
    text = "" if name is None else name.text or ""
    encoded = name is not None and name.get("Encoded") == "true"  # characters that XML cannot hold
    return unquote(text) if encoded else text


def _folder(path: str) -> DataItem:
    return DataItem(name=base_name(path), path=path, kind="folder")


def _blob(path: str, properties: Mapping[str, str | None], days: dict[str, int]) -> DataItem | None:
    """None for a directory of a hierarchical namespace."""
    get = properties.get
    if get("ResourceType") == "directory":
        return None
    size, modified, etag = get("Content-Length"), get("Last-Modified"), get("Etag")
    return DataItem(
        name=base_name(path),
        path=path,
        kind="blob",
        size=int(size) if size else None,
        modified_at=_unix(modified, days) if modified else None,
        metadata={
            "content_type": get("Content-Type") or None,
            "content_encoding": get("Content-Encoding") or None,
            "etag": _quoted(etag) if etag else None,
            "md5": get("Content-MD5") or None,
            "tier": get("AccessTier") or None,
        },
    )


def _quoted(etag: str) -> str:
    return f'"{etag.strip(chr(34))}"'


def _unix(http_date: str, days: dict[str, int]) -> int | None:
    """`days` remembers when the days of a page began, because parsing a date costs as much as all the rest."""
    day, clock = http_date[:16], http_date[17:25]
    if len(http_date) != _HTTP_DATE_LENGTH or not http_date.endswith(" GMT") or clock[2] + clock[5] != "::":
        return _parse_date(http_date)
    if day not in days:
        began = _parse_date(f"{day} 00:00:00 GMT")
        if began is None:
            return None
        days[day] = began
    return days[day] + 3600 * int(clock[:2]) + 60 * int(clock[3:5]) + int(clock[6:])


def _parse_date(text: str) -> int | None:
    parsed = parsedate_tz(text)
    return int(mktime_tz(parsed)) if parsed else None
