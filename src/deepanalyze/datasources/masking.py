"""Hiding secrets in what people and logs may see, by the names they go by and the shapes they have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretBytes, SecretStr

MASK = "********"

_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|private[_-]?key|sslkey|(account|access|api|shared|encryption)[_-]?key"
    r"|connection[_-]?string|conninfo|^(dsn|sas|sas[_-]?url|pwd|pass|key|keys|signature|sig|authorization)$",
    re.IGNORECASE,
)
# Schemes are short: without a bound, a long text of letters and dots takes minutes, and nothing else runs meanwhile.
_URL_PASSWORD = re.compile(
    r"(?P<head>\b[a-z][a-z0-9+.-]{0,30}://[^\s/?#@:]*):(?P<secret>[^\s/?#]*)@", re.IGNORECASE
)
_PAIR = re.compile(
    r"(?P<head>\b(?:AccountKey|SharedAccessSignature|SharedAccessKey|password|pwd|passwd|sslpassword|sig|token"
    r"|access_token|client_secret|api[_-]?key)\s*=\s*)(?P<secret>'(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s;&'\"]+)",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def mask_text(text: str) -> str:
    """Masks passwords in URLs, `password=…` in connection strings, account keys and signatures."""
    text = _URL_PASSWORD.sub(rf"\g<head>:{MASK}@", text)
    return _PAIR.sub(rf"\g<head>{MASK}", text)


def secrets_in(text: str) -> Iterator[str]:
    """What `mask_text` would mask."""
    for pattern in (_URL_PASSWORD, _PAIR):
        yield from (match["secret"] for match in pattern.finditer(text))


def sanitize(config: Any, *, name: str = "") -> Any:
    """A copy of `config` that may be shown: what is named like a secret is masked whole, texts are searched.

    An absent secret (None or an empty text) stays visible as absent.
    """
    if isinstance(config, (SecretStr, SecretBytes)):
        return MASK
    if isinstance(config, Mapping):
        return {key: sanitize(value, name=str(key)) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [sanitize(value, name=name) for value in config]
    if name and is_secret_name(name) and isinstance(config, (str, bytes)) and config:
        return MASK
    return mask_text(config) if isinstance(config, str) else config
