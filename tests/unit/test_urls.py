"""Signed links: good for exactly one user's file until they expire."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.errors import PermissionDenied
from deepanalyze.urls import UrlSigner

NOW = 1_000_000
PATHS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def signer(now: float = NOW, secret: bytes = b"s" * 32) -> UrlSigner:
    return UrlSigner(secret, "http://127.0.0.1:8200/", 3600, clock=lambda: now)


def parts(url: str) -> tuple[str, str, int, str]:
    split = urlsplit(url)
    query = parse_qs(split.query)
    return unquote(split.path), query["user"][0], int(query["expires"][0]), query["signature"][0]


@given(path=PATHS)
def test_a_link_opens_the_file_it_was_made_for(path: str) -> None:
    url = signer().sign("user-1", "thread-1", path)
    found, user, expires, signature = parts(url)
    assert found == f"/v1/threads/thread-1/files/{path}"
    signer().verify("thread-1", path, user, expires, signature)


def test_a_link_says_where_the_server_is_and_lives_as_long_as_configured() -> None:
    url = signer().sign("user-1", "thread-1", "reports/a b.md")
    assert url.startswith("http://127.0.0.1:8200/v1/threads/thread-1/files/reports/a%20b.md?")
    assert parts(url)[2] == NOW + 3600


@pytest.mark.parametrize(
    ("thread", "path", "user", "later"),
    [
        ("thread-2", "a.csv", "user-1", 0),
        ("thread-1", "b.csv", "user-1", 0),
        ("thread-1", "a.csv", "user-2", 0),
        ("thread-1", "a.csv", "user-1", 1),
    ],
)
def test_a_changed_link_opens_nothing(thread: str, path: str, user: str, later: int) -> None:
    _, _, expires, signature = parts(signer().sign("user-1", "thread-1", "a.csv"))
    with pytest.raises(PermissionDenied, match="not valid"):
        signer().verify(thread, path, user, expires + later, signature)


@pytest.mark.parametrize("signature", ["", "☃", "A" * 43, "\ud800"])
def test_a_made_up_signature_opens_nothing(signature: str) -> None:
    with pytest.raises(PermissionDenied, match="not valid"):
        signer().verify("thread-1", "a.csv", "user-1", NOW + 10, signature)


def test_an_expired_link_says_so() -> None:
    _, user, expires, signature = parts(signer().sign("user-1", "thread-1", "a.csv"))
    with pytest.raises(PermissionDenied, match="expired"):
        signer(now=expires).verify("thread-1", "a.csv", user, expires, signature)


def test_a_new_key_voids_old_links() -> None:
    _, user, expires, signature = parts(signer().sign("user-1", "thread-1", "a.csv"))
    with pytest.raises(PermissionDenied, match="not valid"):
        signer(secret=b"t" * 32).verify("thread-1", "a.csv", user, expires, signature)


@given(one=st.tuples(PATHS, PATHS), other=st.tuples(PATHS, PATHS))
def test_no_two_files_share_a_signature(one: tuple[str, str], other: tuple[str, str]) -> None:
    signatures = {parts(signer().sign("user-1", f"{thread}", path))[3] for thread, path in (one, other)}
    assert len(signatures) == len({one, other})
