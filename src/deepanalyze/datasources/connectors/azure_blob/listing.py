"""Pages of a container's listing, as Azure sends them.

The SDK spends 0.2 ms on the event loop for every listed blob; reading the XML ourselves costs a tenth of that, in a
worker thread, and takes every name that Azure allows.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from urllib.parse import quote, unquote, urlencode

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.connectors.azure_blob.names import base_name


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
        root = ET.fromstring(body)  # noqa: S314  libexpat bounds entity amplification; nothing external is loaded
    except ET.ParseError as error:
        raise ValueError("not XML") from error
    if root.tag != "EnumerationResults":
        raise ValueError("not a listing")
    items = [_item(element) for element in root.iterfind("Blobs/*")]
    return Page([item for item in items if item is not None], root.findtext("NextMarker") or None)


def _item(element: ET.Element) -> DataItem | None:
    path = _name(element.find("Name"))
    if element.tag == "BlobPrefix":
        return DataItem(name=base_name(path), path=path, kind="folder")
    properties = {child.tag: child.text or "" for child in element.iterfind("Properties/*")}
    if properties.get("ResourceType") == "directory":  # of a hierarchical namespace
        return None
    return DataItem(
        name=base_name(path),
        path=path,
        kind="blob",
        size=int(properties["Content-Length"]) if properties.get("Content-Length") else None,
        modified_at=_unix(properties.get("Last-Modified")),
        metadata={
            "content_type": properties.get("Content-Type") or None,
            "etag": _quoted(properties.get("Etag")),
            "tier": properties.get("AccessTier") or None,
        },
    )


def _name(element: ET.Element | None) -> str:
    text = "" if element is None else element.text or ""
    encoded = element is not None and element.get("Encoded") == "true"  # characters that XML cannot hold
    return unquote(text) if encoded else text


def _quoted(etag: str | None) -> str | None:
    return f'"{etag.strip(chr(34))}"' if etag else None


def _unix(http_date: str | None) -> int | None:
    parsed = parsedate_tz(http_date) if http_date else None
    return int(mktime_tz(parsed)) if parsed else None
