from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.datasources.connectors.local_file import LocalFileConfig
from deepanalyze.datasources.connectors.local_file.names import on_disk, shown
from deepanalyze.datasources.schema import split_secrets, validate_config
from deepanalyze.errors import InvalidRequest


@pytest.mark.parametrize("name", ["root", "path"])
def test_the_root_has_two_names(name: str) -> None:
    made = validate_config(LocalFileConfig, {name: "/srv/data"})
    assert (made.root, made.read_only) == ("/srv/data", True)
    assert split_secrets(LocalFileConfig, {name: "/srv/data"}) == ({"root": "/srv/data"}, {})


@pytest.mark.parametrize(
    ("config", "param", "words"),
    [
        ({}, "config.root", "is required: The directory to read"),
        ({"root": ""}, "config.root", "absolute path"),
        ({"root": "data"}, "config.root", "absolute path"),
        ({"root": "~/data"}, "config.root", "not expanded"),
        ({"root": "/a\x00b"}, "config.root", "NUL"),
        ({"root": 7}, "config.root", "string"),
        ({"root": "/a", "path": "/b"}, "config.path", "is not a parameter"),
        ({"root": "/a", "read_onyl": True}, "config.read_onyl", "did you mean 'read_only'"),
    ],
)
def test_what_is_wrong_is_told(config: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as raised:
        validate_config(LocalFileConfig, config)
    assert param in [detail["param"] for detail in raised.value.details]


@given(st.binary())
def test_every_name_has_a_text_of_its_own(name: bytes) -> None:
    raw = name.decode(errors="surrogateescape")
    text = shown(raw)
    text.encode()
    assert on_disk(text) == raw


@given(st.lists(st.sampled_from(["\\", "x", "5", "c", "e", "9", "\udce9", "\udcff"])))
def test_also_one_that_looks_like_such_a_text(parts: list[str]) -> None:
    raw = "".join(parts)
    assert on_disk(shown(raw)) == raw


def test_ordinary_names_are_shown_as_they_are() -> None:
    for name in ("Übersicht 2013.csv", "a\\b", "\\x41", "\\xff"[:3], "tab\t"):
        assert shown(name) == name
    assert shown("caf\udce9") == "caf\\xe9"
    assert shown("caf\\xe9") == "caf\\x5cxe9"
