"""Secrets without a shape are taken out of any text by their values."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from deepanalyze.datasources import DataSourceConfig, DataSourceRegistry
from deepanalyze.datasources.masking import MASK
from deepanalyze.errors import SourceAuthenticationFailed, SourceUnavailable
from deepanalyze.logging import KnownSecrets
from deepanalyze.logging import values as module
from tests.support.desk import Clock
from tests.support.toysource import PASSWORD, ToyConnector

SECRET = 'correct horse/battery+"stäple"'


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(clock: Clock) -> KnownSecrets:
    known = KnownSecrets(clock=clock)
    known.keep("ds-1", [SECRET])
    return known


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        *(base64.b64encode(user.encode() + SECRET.encode()).decode() for user in ("", "a:", "bc:", "def:")),
        *(base64.urlsafe_b64encode(b"\xff" * n + SECRET.encode()).decode() for n in range(3)),
    ],
)
def test_it_is_hidden_however_it_is_written(known: KnownSecrets, written: str) -> None:
    hidden = known.hide(f'invalid option "{written}" and {written}?')
    assert hidden.count(MASK) == 2
    assert written[4:-4] not in hidden
    assert hidden.startswith('invalid option "')
    assert hidden.endswith("?")


@pytest.mark.parametrize("before", range(9))
def test_it_is_found_wherever_it_stands(known: KnownSecrets, before: int) -> None:
    known.keep("ds-2", ["eight-ch"])
    assert known.hide("x" * before + "eight-ch") == "x" * before + MASK


def test_other_text_stays_as_it_is(known: KnownSecrets) -> None:
    known.keep("ds-2", ["postgres", "20261124", "short", "s3cret-word"])
    for text in ("", "postgresql", "id-1202611249", "short", "correct horse", "a postgre"):
        assert known.hide(text) == text
    assert known.hide("role postgres, 20261124: xs3cret-wordx") == f"role {MASK}, {MASK}: x{MASK}x"


def test_the_longest_is_hidden_first(known: KnownSecrets) -> None:
    known.keep("ds-2", ["s3cret-word", "s3cret-word-and-more"])
    assert known.hide("s3cret-word-and-more") == MASK


def test_what_stands_in_a_url_or_a_connection_string_is_known_by_itself(known: KnownSecrets) -> None:
    known.keep(
        "ds-2", ["postgresql://ada:s3cret-word@db/x", "AccountName=a;AccountKey=k3y/of+the/account==;"]
    )
    assert known.hide("got s3cret-word, k3y/of+the/account==") == f"got {MASK}, {MASK}"


def test_what_an_owner_no_longer_has_is_forgotten_after_a_while(known: KnownSecrets, clock: Clock) -> None:
    known.keep("ds-2", [SECRET])
    known.trying("ds-3", ["only-tried-1"])
    known.keep("ds-1", ["new-one-1"])
    known.forget("ds-2")
    for text in (SECRET, "only-tried-1", "new-one-1"):
        assert known.hide(text) == MASK
    clock.now += module.LINGER_S
    assert [known.hide(text) for text in (SECRET, "only-tried-1", "new-one-1")] == [
        SECRET,
        "only-tried-1",
        MASK,
    ]
    assert len(known._held) == 1
    assert all(form.value == "new-one-1" for forms in known._probes.values() for form in forms)


def test_there_is_a_bound_for_what_is_only_tried(
    known: KnownSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_LINGERING", 3)
    for n in range(10):
        known.trying("ds-2", [f"tried-of-{n}"])
    assert len(known._held) == 4
    assert known.hide(f"tried-of-0, tried-of-9, {SECRET}") == f"tried-of-0, {MASK}, {MASK}"


def test_an_error_is_cleaned_of_its_source_s_own_secrets(known: KnownSecrets) -> None:
    known.keep("ds-2", ["of-another-source"])
    details: list[dict[str, Any]] = [{"message": SECRET, "deep": [SECRET, 5, None]}]
    error = SourceUnavailable(f"invalid option {SECRET}, not of-another-source", details=details)
    known.clean(error, "ds-1")
    assert str(error) == error.args[0] == f"invalid option {MASK}, not of-another-source"
    assert error.details == [{"message": MASK, "deep": [MASK, 5, None]}]


async def test_a_registry_tells_of_its_sources_secrets_until_they_are_deleted(clock: Clock) -> None:
    known = KnownSecrets(clock=clock)
    async with DataSourceRegistry(secrets=known) as registry:
        registry.register_connector_class("toy", ToyConnector)
        config = DataSourceConfig("ds-1", "toy", "box", {"toys": [], "password": "not-the-right-one"})
        with pytest.raises(SourceAuthenticationFailed):
            await registry.register_data_source(config, test_connection=True)
        assert known.hide("not-the-right-one") == MASK
        config.config["password"] = PASSWORD
        source = await registry.register_data_source(config, test_connection=True)
        await registry.get_connector(source.id)
        clock.now += module.LINGER_S
        assert known.hide(f"{PASSWORD} not-the-right-one") == f"{MASK} not-the-right-one"
        await registry.unregister_data_source(source.id)
        assert known.hide(PASSWORD) == MASK
        clock.now += module.LINGER_S
        assert known.hide("something else") == "something else"
        assert len(known._held) == 0
