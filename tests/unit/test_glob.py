from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.datasources.glob import Glob, is_glob
from deepanalyze.errors import InvalidRequest


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a/*.csv", ["a/x.csv", "a/.csv", "a/x y☃.csv"], ["a/b/x.csv", "b/x.csv", "a/x.csv.gz", "A/x.csv"]),
        ("*", ["x", ".x"], ["a/x"]),
        ("**", ["x", "a/x", "a//x", "/x"], []),
        ("a/**", ["a/x", "a/b/c"], ["b/a/x", "ab/c"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "x/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "a/b/c"]),
        ("**/2024/*.parquet", ["2024/x.parquet", "a/b/2024/x.parquet"], ["a/2024/b/x.parquet"]),
        ("a/**/b/**/c/*", ["a/b/c/d", "a/1/b/b/2/c/e"], ["a/b/c", "a/c/b/d"]),
        ("a**b", ["ab", "axb"], ["a/b"]),
        ("x?z", ["xyz", "x☃z"], ["xz", "x/z"]),
        ("[a-c]1", ["a1", "c1"], ["d1", "/1"]),
        ("[!a-c]1", ["d1"], ["a1", "/1"]),
        ("[]]", ["]"], ["["]),
        ("[*]", ["*"], ["x"]),
        ("{a,b}/x", ["a/x", "b/x"], ["c/x"]),
        ("x{1,2{3,4}}", ["x1", "x23", "x24"], ["x2", "x3"]),
        ("{a/b,c}/*", ["a/b/x", "c/x"], ["a/x"]),
        ("{,pre-}x", ["x", "pre-x"], []),
        ("x{y", ["x{y"], ["xy"]),
        ("x{y}", ["x{y}"], ["xy"]),
        ("x[y", ["x[y"], ["xy"]),
        ("a.c", ["a.c"], ["abc"]),
    ],
)
def test_what_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    glob = Glob(pattern)
    assert [name for name in matching if not glob.matches(name)] == []
    assert [name for name in others if glob.matches(name)] == []


@pytest.mark.parametrize(
    ("pattern", "prefixes"),
    [
        ("sales/2024-*.csv", ["sales/2024-"]),
        ("**/x", [""]),
        ("{a,b}/*", ["a/", "b/"]),
        ("{a,ab,c}*", ["a", "c"]),
        ("{*,b}/x", [""]),
        ("plain", ["plain"]),
    ],
)
def test_only_what_can_match_is_listed(pattern: str, prefixes: list[str]) -> None:
    assert Glob(pattern).prefixes == prefixes


def test_a_flood_of_alternatives_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="more than 256 alternatives"):
        Glob("{a,b}" * 20)


def test_hostile_patterns_match_in_reasonable_time() -> None:
    """These would keep a backtracking matcher busy for longer than the universe has been around."""
    assert not Glob("*a" * 40 + "b").matches("a" * 1000)
    assert not Glob("**/a/" * 100 + "b").matches("a/" * 500)
    assert not Glob("{*a,*b}" * 8).matches("c" * 1000)


@pytest.mark.parametrize("name", ["a*", "a?", "a[", "{a"])
def test_is_a_glob(name: str) -> None:
    assert is_glob(name)
    assert not is_glob("plain/name (1).csv")


names = st.text(alphabet="ab/.☃ {}[]*?,!-\\", max_size=12)
patterns = st.lists(st.sampled_from(["a", "b", "/", "*", "?", "**", "/**/", "**/", "/**"]), max_size=8).map(
    "".join
)


@given(pattern=patterns, name=st.text(alphabet="ab/", max_size=10))
def test_agrees_with_the_plain_definition(pattern: str, name: str) -> None:
    assert Glob(pattern).matches(name) == (_reference(pattern).fullmatch(name) is not None)


@given(name=names, pattern=names)
def test_every_match_begins_with_a_listed_prefix(name: str, pattern: str) -> None:
    glob = Glob(pattern)
    if glob.matches(name):
        assert any(name.startswith(prefix) for prefix in glob.prefixes)


@given(name=names)
def test_a_name_without_wildcards_matches_itself_alone(name: str) -> None:
    if not is_glob(name):
        assert Glob(name).matches(name)
        assert not Glob(name).matches(name + "x")


def _reference(pattern: str) -> re.Pattern[str]:
    """Backtracks, but says plainly what is meant: `**` as a whole part is any number of parts."""
    parts = pattern.split("/")
    expression = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            expression += "[^/]*(?:/[^/]*)*" if last else "(?:[^/]*/)*"
        else:
            text = "".join({"*": "[^/]*", "?": "[^/]"}.get(c, re.escape(c)) for c in part)
            expression += text if last else text + "/"
    return re.compile(expression, re.DOTALL)


@pytest.mark.parametrize(
    ("pattern", "depth"),
    [
        ("*", 1),
        ("a/*.csv", 2),
        ("{a,b/c/d}.csv", 3),
        ("**", None),
        ("a/**/b", None),
        ("{a,**/b}", None),
        ("a**/b", 2),
    ],
)
def test_how_deep_matches_can_lie(pattern: str, depth: int | None) -> None:
    assert Glob(pattern).depth == depth
