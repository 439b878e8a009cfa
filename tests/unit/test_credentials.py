"""Secrets at rest, and secrets that never show."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from deepanalyze.datasources import ConfigurationError, CredentialManager, DataSourceConfig
from deepanalyze.datasources.masking import MASK, mask_text, sanitize
from tests.support.canaries import canary

SECRET = canary("credential")


def key() -> str:
    return Fernet.generate_key().decode()


def test_a_secret_comes_back_only_for_its_row_and_field() -> None:
    manager = CredentialManager(key())
    token = manager.encrypt(SECRET, row="ds-1", field="password")
    assert SECRET not in token
    assert manager.decrypt(token, row="ds-1", field="password") == SECRET
    for row, field in (("ds-2", "password"), ("ds-1", "user"), ("", "")):
        with pytest.raises(ConfigurationError, match="belongs to another place"):
            manager.decrypt(token, row=row, field=field)


def test_plain_use_needs_neither_row_nor_field() -> None:
    manager = CredentialManager([key()])
    assert manager.decrypt(manager.encrypt("geheim ✓")) == "geheim ✓"


def test_another_key_is_an_error_that_names_the_place() -> None:
    token = CredentialManager(key()).encrypt("x", row="ds-1", field="password")
    with pytest.raises(ConfigurationError, match=r"\(ds-1, password\).*encryption key"):
        CredentialManager(key()).decrypt(token, row="ds-1", field="password")


@pytest.mark.parametrize("token", ["", "no token", "gAAAAAB", "é"])
def test_what_is_no_ciphertext_is_an_error(token: str) -> None:
    with pytest.raises(ConfigurationError):
        CredentialManager(key()).decrypt(token)


@pytest.mark.requirement("6.2")
def test_keys_rotate(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = key(), key()
    token = CredentialManager(old).encrypt("x", row="r", field="f")
    monkeypatch.setenv("DEEPANALYZE_ENCRYPTION_KEY", f"{new}, {old}")
    rotated = CredentialManager().rotate(token)
    assert CredentialManager(new).decrypt(rotated, row="r", field="f") == "x"


@pytest.mark.parametrize("keys", ["", " , ", "short", "é" * 44])
def test_bad_keys_are_refused_without_being_repeated(keys: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CredentialManager(keys)
    assert not keys.strip(" ,") or keys not in str(caught.value)


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with ThreadPoolExecutor(8) as pool:
        managers = list(pool.map(lambda _: CredentialManager.from_key_file(path), range(16)))
    token = managers[0].encrypt("x")
    assert {manager.decrypt(token) for manager in managers} == {"x"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_an_emptied_key_file_is_not_filled_anew(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch()
    with pytest.raises(ConfigurationError, match="is empty"):
        CredentialManager.from_key_file(path)
    assert path.read_bytes() == b""


def test_a_key_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read or made"):
        CredentialManager.from_key_file(tmp_path / "missing" / "key")


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://analyst:{SECRET}@db/sales",
        f"postgres+psycopg://analyst:{SECRET}@db:5432/sales?sslmode=require",
        f"host=db password={SECRET} user=analyst",
        f"host=db password='{SECRET} \\' more' user=analyst",
        f"Server=db;Pwd={SECRET};Database=x",
        f"DefaultEndpointsProtocol=https;AccountName=n;AccountKey={SECRET}==;EndpointSuffix=core.windows.net",
        f"https://n.blob.core.windows.net/c?sv=2024&sp=r&sig={SECRET}%3D",
        f"https://n.blob.core.windows.net/c?sig={SECRET}&sv=2024",
        f"BlobEndpoint=https://n;SharedAccessSignature=sv=2024&sig={SECRET}",
    ],
)
def test_secrets_inside_texts_are_masked(text: str) -> None:
    masked = mask_text(text)
    assert SECRET not in masked
    assert MASK in masked


@pytest.mark.parametrize("piece", ["a+", "a.", "x://a:", "password='", "pwd "])
def test_hostile_texts_are_searched_in_no_more_than_their_length(piece: str) -> None:
    """With time that grows with the square of it, this would not end within minutes."""
    text = piece * (200_000 // len(piece))
    assert len(mask_text(text)) <= len(text)


def test_configs_are_masked_at_any_depth() -> None:
    config = {
        "host": "db",
        "password": SECRET,
        "empty_password": "",
        "no_token": None,
        "typed": SecretStr(SECRET),
        "auth": {"client_secret": SECRET, "account_key": SECRET, "user": "me"},
        "list": [{"sas_token": SECRET}, f"postgresql://u:{SECRET}@h/d"],
        "connection_string": SECRET,
        "port": 5432,
    }
    shown = sanitize(config)
    assert SECRET not in repr(shown)
    assert (shown["host"], shown["port"], shown["auth"]["user"]) == ("db", 5432, "me")
    assert (shown["empty_password"], shown["no_token"]) == ("", None)
    assert config["password"] == SECRET
    assert CredentialManager(key()).sanitize(config) == shown


def test_the_repr_of_a_config_shows_no_secret() -> None:
    config = DataSourceConfig("a", "postgresql", "a", {"password": SECRET, "host": "db"})
    assert SECRET not in f"{config} {config!r} {[config]}"
    assert "db" in repr(config)
