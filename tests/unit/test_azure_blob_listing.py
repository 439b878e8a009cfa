from __future__ import annotations

from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.datasources.connectors.azure_blob.listing import listing_query, parse_page
from deepanalyze.datasources.paths import base_name, printable


def page(inner: str, marker: str = "") -> bytes:
    return (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="c">'
        f"<Blobs>{inner}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    ).encode()


def blob(name: str, properties: str = "<Content-Length>5</Content-Length>", attributes: str = "") -> str:
    return f"<Blob><Name{attributes}>{escape(name)}</Name><Properties>{properties}</Properties></Blob>"


def test_a_page() -> None:
    found = parse_page(
        page(
            blob(
                "a/b.csv",
                "<Last-Modified>Wed, 01 Jan 2020 00:00:00 GMT</Last-Modified><Etag>0x8D</Etag>"
                "<Content-Length>7</Content-Length><Content-Type>text/csv</Content-Type><Content-Encoding>gzip</Content-Encoding>"
                "<Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5><AccessTier>Hot</AccessTier>",
            )
            + "<BlobPrefix><Name>a/c/</Name></BlobPrefix>",
            marker="next one",
        )
    )
    file, folder = found.items
    assert (file.kind, file.path, file.name, file.size, file.modified_at) == (
        "blob",
        "a/b.csv",
        "b.csv",
        7,
        1577836800,
    )
    assert file.metadata == {
        "content_type": "text/csv",
        "content_encoding": "gzip",
        "etag": '"0x8D"',
        "md5": "1B2M2Y8AsgTpgAmY7PhCfg==",
        "tier": "Hot",
    }
    assert (folder.kind, folder.path, folder.name, folder.size) == ("folder", "a/c/", "c", None)
    assert found.next_marker == "next one"


def test_names_that_xml_cannot_hold_come_encoded() -> None:
    (item,) = parse_page(page(blob("a%01%25b%EF%BF%BF.csv", attributes=' Encoded="true"'))).items
    assert item.path == "a\x01%b\uffff.csv"
    (item,) = parse_page(page(blob("100%25.csv"))).items
    assert item.path == "100%25.csv"


def test_directories_of_a_hierarchical_namespace_are_no_blobs() -> None:
    listed = blob("d", "<ResourceType>directory</ResourceType>") + blob(
        "d/x", "<ResourceType>file</ResourceType>"
    )
    assert [item.path for item in parse_page(page(listed)).items] == ["d/x"]


def test_a_page_larger_than_what_is_parsed_at_once() -> None:
    names = [f"folder/☃ number {number}.csv" for number in range(5000)]
    found = parse_page(page("".join(map(blob, names))))
    assert [item.path for item in found.items] == names
    assert found.next_marker is None


def test_names_with_entities() -> None:
    listed = "<Blob><Name>a&amp;b&#13;&#x9;&lt;c&gt;&quot;&apos;.csv</Name><Properties><Etag>&quot;0x8D&quot;</Etag>"
    (item,) = parse_page(page(f"{listed}<Content-Length>1</Content-Length></Properties></Blob>")).items
    assert item.path == "a&b\r\t<c>\"'.csv"
    assert item.metadata["etag"] == '"0x8D"'


def test_metadata_are_no_properties() -> None:
    own = "<Metadata><Etag>forged</Etag><Content-Length>9</Content-Length></Metadata></Blob>"
    (item,) = parse_page(page(blob("x").replace("</Blob>", own))).items
    assert (item.size, item.metadata["etag"]) == (5, None)


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(
            "\n  <Blob>\n    <Name>a</Name>\n    <Properties>\n      <Content-Length>5</Content-Length>\n"
            "    </Properties>\n  </Blob>\n  <BlobPrefix>\n    <Name>b/</Name>\n  </BlobPrefix>\n  ",
            id="indented",
        ),
        pytest.param(
            "<!-- <Blob> -->" + blob("a") + "<BlobPrefix><Name>b/</Name></BlobPrefix>", id="comment"
        ),
        pytest.param(
            blob("a").replace(">a<", "><![CDATA[a]]><") + "<BlobPrefix><Name>b/</Name></BlobPrefix>",
            id="CDATA",
        ),
        pytest.param(
            blob("a", attributes=" Encoded='true'") + "<BlobPrefix><Name >b/</Name ></BlobPrefix>",
            id="attributes",
        ),
        pytest.param(
            "<Blob><Deleted>false</Deleted><Name>a</Name><Properties><Content-Length >5</Content-Length >"
            "</Properties></Blob><BlobPrefix><Properties/><Name>b/</Name></BlobPrefix>",
            id="order",
        ),
    ],
)
def test_other_ways_to_write_a_listing(listed: str) -> None:
    found = parse_page(page(listed, marker="&lt;2&gt;"))
    assert [(item.kind, item.path, item.size) for item in found.items] == [
        ("blob", "a", 5),
        ("folder", "b/", None),
    ]
    assert found.next_marker == "<2>"


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1"])
def test_other_encodings(encoding: str) -> None:
    body = page(blob("ä")).decode().removeprefix("\ufeff").replace("utf-8", encoding).encode(encoding)
    assert [item.path for item in parse_page(body).items] == ["ä"]


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Wed, 01 Jan 2020 23:59:58 GMT", 1577923198),
        ("Wed, 1 Jan 2020 23:59:58 GMT", 1577923198),
        ("Wed, 01 Jan 2020 23:59:58 +0100", 1577919598),
        ("yesterday", None),
        ("aaaaaaaaaaaaaaaaaaa:aa:aa GMT", None),
        ("", None),
    ],
)
def test_dates(date: str, seconds: int | None) -> None:
    properties = f"<Last-Modified>{date}</Last-Modified><Content-Length>5</Content-Length>"
    (item,) = parse_page(page(blob("x", properties))).items
    assert item.modified_at == seconds


@pytest.mark.parametrize(
    "body", [b"", b"<html></html>", b"not xml", page("")[:-10], b"<EnumerationResults>", b"\xff\xfe"]
)
def test_what_is_not_a_listing(body: bytes) -> None:
    with pytest.raises(ValueError, match="not"):
        parse_page(body)


def test_entities_do_not_explode() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(12)
    )
    with pytest.raises(ValueError, match="not XML"):
        parse_page((bomb + "]><EnumerationResults><x>&m;</x></EnumerationResults>").encode())


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1))
def test_any_name_survives(name: str) -> None:
    (item,) = parse_page(page(blob(name))).items
    assert item.path == name
    assert item.name
    assert item.path.endswith(item.name) or item.name == "/" or item.path.endswith(item.name + "/")


def test_a_query_is_quoted() -> None:
    query = listing_query("a b/+&☃", folders=True, marker="x=y", max_results=3)
    assert query == (
        "restype=container&comp=list&prefix=a%20b%2F%2B%26%E2%98%83&delimiter=%2F&marker=x%3Dy&maxresults=3"
    )


@pytest.mark.parametrize(
    ("path", "name"), [("a/b.csv", "b.csv"), ("a/b/", "b"), ("/", "/"), ("a//", "/"), ("/x", "x"), ("x", "x")]
)
def test_base_names(path: str, name: str) -> None:
    assert base_name(path) == name


def test_printable_names() -> None:
    assert printable("a\tb☃\u202ec") == "a\\tb☃\\u202ec"
    assert printable("x" * 400) == "x" * 300 + "…"
