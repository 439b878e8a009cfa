"""Encrypting what opens doors. A wrong or missing key is an error, never a reason to make a new one."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from deepanalyze.datasources.files import write_once
from deepanalyze.datasources.masking import MASK, mask_text, sanitize
from deepanalyze.errors import ConfigurationError

__all__ = ["KEY_VARIABLE", "MASK", "CredentialManager", "mask_text", "sanitize"]

KEY_VARIABLE = "DEEPANALYZE_ENCRYPTION_KEY"
_MAKE_KEY = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


class CredentialManager:
    """Fernet encryption with rotatable keys: the first key encrypts, all of them decrypt.

    Args:
        keys: one key, several separated by commas, or a sequence of keys. Without them the variable
            `DEEPANALYZE_ENCRYPTION_KEY` is used; without that a key for this object alone is made, which is right
            for sources that are only held in memory.
        origin: where the keys are kept, for messages.
    """

    def __init__(self, keys: str | Sequence[str] | None = None, *, origin: str = KEY_VARIABLE) -> None:
        if keys is None:
            keys = os.environ.get(KEY_VARIABLE) or [Fernet.generate_key().decode()]
        self._origin = origin
        self._keys = _split(keys)
        self._fernet = MultiFernet([_fernet(key, number) for number, key in enumerate(self._keys, 1)])

    @classmethod
    def from_key_file(cls, path: Path) -> CredentialManager:
        """The keys in that file, one a line; the file is made (mode 0600) when it is not there yet.

        Whether a missing file is right is the caller's to know: where encrypted credentials exist already,
        the new key will not fit them, and reading them says so.
        """
        try:
            text = write_once(path, Fernet.generate_key() + b"\n", mode=0o600).decode()
        except OSError as error:
            raise ConfigurationError(
                f"the key file {path} cannot be read or made: {error.strerror}"
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"the key file {path} does not hold a Fernet key") from error
        if not text.strip():
            raise ConfigurationError(f"the key file {path} is empty; put the key back that was in it")
        return cls(text, origin=f"the key file {path}")

    def __repr__(self) -> str:
        return f"CredentialManager({len(self._keys)} keys)"

    @property
    def signing_secret(self) -> bytes:
        """What other keys (of signed URLs, for one) are derived from; follows the first key."""
        return self._keys[0].encode()

    @property
    def signing_secrets(self) -> tuple[bytes, ...]:
        """One for each key, the first key's first: for signatures that outlive the rotation of keys."""
        return tuple(key.encode() for key in self._keys)

    def encrypt(self, value: str, *, row: str = "", field: str = "") -> str:
        """A ciphertext that can only be read back for the same row and field."""
        bound = json.dumps({"row": row, "field": field, "value": value})
        return self._fernet.encrypt(bound.encode()).decode()

    def decrypt(self, token: str, *, row: str = "", field: str = "") -> str:
        try:
            bound = json.loads(self._fernet.decrypt(token.encode()))
        except (InvalidToken, UnicodeEncodeError, ValueError) as error:
            raise self.unfit(f"a stored credential{_place(row, field)} cannot be decrypted") from error
        if not isinstance(bound, dict) or (bound.get("row"), bound.get("field")) != (row, field):
            raise ConfigurationError(
                f"the stored credential{_place(row, field)} belongs to another place; it was moved or tampered with"
            )
        return str(bound["value"])

    def is_current(self, token: str) -> bool:
        """Whether the first key encrypted it."""
        try:
            _fernet(self._keys[0], 1).decrypt(token.encode())
        except (InvalidToken, UnicodeEncodeError):
            return False
        return True

    def rotate(self, token: str) -> str:
        """The same secret under the first key."""
        try:
            return self._fernet.rotate(token.encode()).decode()
        except (InvalidToken, UnicodeEncodeError) as error:
            raise ConfigurationError("a credential cannot be rotated: none of the keys fits it") from error

    def unfit(self, what: str) -> ConfigurationError:
        """To be raised where none of the keys is the right one: what cannot be done says `what`."""
        return ConfigurationError(
            f"{what}: {self._which()} the encryption key it was stored with. Put the old key back beside the new one "
            "(the first encrypts, all decrypt)"
        )

    def _which(self) -> str:
        if len(self._keys) == 1:
            return f"the key in {self._origin} is not"
        return f"none of the {len(self._keys)} keys in {self._origin} is"

    sanitize = staticmethod(sanitize)


def _split(keys: str | Sequence[str]) -> list[str]:
    parts = keys.replace("\n", ",").split(",") if isinstance(keys, str) else keys
    found = [part.strip() for part in parts if part.strip()]
    if not found:
        raise ConfigurationError(f"no encryption key given; make one with: {_MAKE_KEY}")
    return found


def _fernet(key: str, number: int) -> Fernet:
    try:
        return Fernet(key.encode())
    except ValueError as error:
        raise ConfigurationError(
            f"encryption key {number} is not a Fernet key (32 bytes in URL-safe base64); make one with: {_MAKE_KEY}"
        ) from error


def _place(row: str, field: str) -> str:
    return f" ({row}, {field})" if row or field else ""
