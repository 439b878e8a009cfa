from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.errors import InvalidRequest
from deepanalyze.workspace.identity import sandbox_uid
from deepanalyze.workspace.names import is_plain, mime_type, numbered, safe_parts


@given(st.text(st.characters(), max_size=300))
def test_a_name_made_safe_is_one_that_can_be_listed_and_opened(name: str) -> None:
    try:
        parts = safe_parts(name)
    except InvalidRequest:
        return
    assert is_plain("/".join(parts))
    assert all(0 < len(part.encode()) <= 255 and part not in (".", "..") for part in parts)
    assert safe_parts("/".join(parts)) == parts


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40), st.integers(2, 9999))
def test_numbers_come_before_the_extension(stem: str, number: int) -> None:
    assert numbered(f"{stem}.csv", number) == f"{stem}-{number}.csv"
    assert numbered(stem, number) == f"{stem}-{number}"


@pytest.mark.parametrize("name", ["", "/", ".", "a/..", "../a", "a/", "x/" * 30 + "y"])
def test_names_that_cannot_be_made_safe(name: str) -> None:
    with pytest.raises(InvalidRequest):
        safe_parts(name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("weather/2013/01.csv", ["weather", "2013", "01.csv"]),
        ("/a//b", ["a", "b"]),
        (".env", ["_env"]),
        ("a\tb\n.csv", ["a_b_.csv"]),
        ("数据 表.csv", ["数据 表.csv"]),
        ("100%#?+\\.csv", ["100%#?+\\.csv"]),
    ],
)
def test_names_keep_what_they_can(name: str, parts: list[str]) -> None:
    assert safe_parts(name) == parts


def test_a_long_name_keeps_its_extension() -> None:
    (part,) = safe_parts("长" * 200 + ".parquet")
    assert part.endswith("长.parquet")
    assert len(part.encode()) <= 255


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("report.md", "text/markdown"),
        ("a/chart.PNG", "image/png"),
        ("t.csv", "text/csv"),
        ("t.parquet", "application/vnd.apache.parquet"),
        ("page.html", "text/html"),
        ("unknown.xyzzy", "application/octet-stream"),
        ("none", "application/octet-stream"),
    ],
)
def test_mime_types(name: str, kind: str) -> None:
    assert mime_type(name) == kind


def test_a_thread_has_the_same_user_every_time_and_never_root() -> None:
    assert sandbox_uid("one") == sandbox_uid("one")
    assert sandbox_uid("one") != 0
