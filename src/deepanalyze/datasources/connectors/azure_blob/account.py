"""Where a storage account is and what opens it, read from the forms in which people hold that."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import SecretStr

# Azure's emulator knows one account, whose key is public and the same everywhere.
_EMULATOR_ACCOUNT = "devstoreaccount1"
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR_PORT = 10000
_PLACE = re.compile(r"[^\s\\;=&]+")
_ACCOUNT_IN_PATH = re.compile(r"[A-Za-z0-9_-]+")  # nothing else: a signature pasted there would be shown
_PUBLIC_SUFFIX = "core.windows.net"
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")

# Entra of the clouds that have their own; elsewhere azure-identity's default, which AZURE_AUTHORITY_HOST may change.
_ENTRA_HOSTS = {
    ".core.chinacloudapi.cn": "https://login.chinacloudapi.cn",
    ".core.usgovcloudapi.net": "https://login.microsoftonline.us",
}

Way = Literal["account_key", "sas", "entra", "anonymous"]

_PERMISSIONS = {
    "r": "read",
    "a": "add",
    "c": "create",
    "w": "write",
    "d": "delete",
    "x": "delete version",
    "y": "permanent delete",
    "l": "list",
    "t": "tags",
    "f": "find by tags",
    "m": "move",
    "e": "execute",
    "o": "ownership",
    "p": "permissions",
    "i": "immutability policy",
}

_CHANGING = frozenset("acwdxymopi")


@dataclass(frozen=True, slots=True)
class BlobAccount:
    """`endpoint` ends without `/`; at most one of `key`, `sas` and `entra` is set, and without any of them requests are
    anonymous; `name` is None where the URL hides it.
    """

    endpoint: str
    name: str | None
    key: SecretStr | None = None
    sas: SecretStr | None = None
    entra: bool = False

    @property
    def way(self) -> Way:
        if self.key is not None:
            return "account_key"
        if self.sas is not None:
            return "sas"
        return "entra" if self.entra else "anonymous"

    @property
    def entra_host(self) -> str | None:
        return next((entra for suffix, entra in _ENTRA_HOSTS.items() if self.host.endswith(suffix)), None)

    @property
    def address(self) -> str:
        """Host and port."""
        return urlsplit(self.endpoint).netloc

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).hostname or ""

    @property
    def label(self) -> str:
        return self.name or self.address

    @property
    def sas_facts(self) -> SasFacts | None:
        return SasFacts.parse(self.sas.get_secret_value()) if self.sas else None


@dataclass(frozen=True, slots=True)
class SasFacts:
    """What a SAS says about itself; all of it is None where a stored access policy holds it."""

    permissions: str | None
    starts_at: int | None
    expires_at: int | None
    https_only: bool
    policy: str | None

    @classmethod
    def parse(cls, sas: str) -> SasFacts:
        values = {name: found[0] for name, found in parse_qs(sas).items()}
        return cls(
            permissions=values.get("sp"),
            starts_at=_timestamp(values.get("st")),
            expires_at=_timestamp(values.get("se")),
            https_only=values.get("spr") == "https",
            policy=values.get("si"),
        )

    @property
    def permission_names(self) -> list[str]:
        return [_PERMISSIONS.get(letter, letter) for letter in self.permissions or ""]

    def warnings(self, now: float, days: float, read_only: bool) -> list[str]:
        """What whoever keeps the token should know: that it ends within so many days, and that it may do too much."""
        found = []
        if self.expires_at is not None and now < self.expires_at <= now + days * 86400:
            left = (self.expires_at - now) / 86400
            when = datetime.fromtimestamp(self.expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
            found.append(f"the SAS token ends at {when}, in {left:.1f} days; put a new one into sas_token")
        changing = [
            name for letter, name in _PERMISSIONS.items() if letter in _CHANGING and self.allows(letter)
        ]
        if read_only and changing:
            found.append(
                f"the SAS token may also {', '.join(changing)}, which a read-only source does not need; one with read "
                "and list is enough"
            )
        return found

    def allows(self, letter: str) -> bool | None:
        return None if self.permissions is None else letter in self.permissions


def from_connection_string(text: str) -> BlobAccount:
    """Raises ValueError; no message of it repeats a value, because any of them may be a secret."""
    parts = _parts(text)
    if parts.get("usedevelopmentstorage", "").lower() == "true":
        return _emulator(parts.get("developmentstorageproxyuri"))
    name, key, sas = parts.get("accountname"), parts.get("accountkey"), parts.get("sharedaccesssignature")
    if key and sas:
        raise ValueError(
            "the connection string has both AccountKey and SharedAccessSignature; keep one of them"
        )
    if not key and not sas:
        raise ValueError("the connection string has neither AccountKey nor SharedAccessSignature")
    if key and not name:
        raise ValueError("the connection string has an AccountKey but no AccountName")
    endpoint = parts.get("blobendpoint") or _public_endpoint(parts)
    place, found = account_url(endpoint, what="BlobEndpoint")
    if key:
        return BlobAccount(place, name, key=account_key(key))
    return BlobAccount(place, name or found, sas=sas_token(sas or ""))


def account_url(url: str, *, what: str = "account_url") -> tuple[str, str | None]:
    """The endpoint and the account's name, which is part of the host, or of the path where hosts are shared."""
    parsed = _split_url(url, what)
    host = (parsed.hostname or "").lower()
    if parsed.scheme == "http" and not is_local(host):
        raise ValueError(
            f"{what} must begin with https://; plain http is only for emulators and private addresses"
        )
    path = parsed.path.strip("/")
    if _has_account_in_path(host):
        if not _ACCOUNT_IN_PATH.fullmatch(path):
            raise ValueError(
                f"{what} must name the account after the host, as in http://{parsed.netloc}/<account>"
            )
        return f"{parsed.scheme}://{parsed.netloc}/{path}", path
    if path:
        raise ValueError(f"{what} must end after the host; put the container into container_name")
    name = host.split(".", 1)[0] if ".blob." in host else None
    return f"{parsed.scheme}://{parsed.netloc}", name.removesuffix("-secondary") if name else None


def account_key(text: str) -> SecretStr:
    text = text.strip()
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise ValueError(
            "the account key is not base64; copy it whole (usually 88 characters that end in ==)"
        )
    return SecretStr(text)


def sas_token(text: str) -> SecretStr:
    """The token without its leading `?`."""
    text = text.strip().removeprefix("?")
    if "://" in text.split("=", 1)[0]:
        raise ValueError(
            "the SAS token is a whole URL; give the part after '?' as sas_token, the rest as account_url"
        )
    if "sig" not in parse_qs(text):
        raise ValueError("the SAS token has no signature (sig=…); copy it whole")
    return SecretStr(text)


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for number, part in enumerate((p.strip() for p in text.strip().split(";")), 1):
        name, equals, value = part.partition("=")
        if part and not equals:
            raise ValueError(f"part {number} of the connection string is not of the form Name=value")
        if part:
            parts[name.strip().lower()] = value.strip()
    if not parts:
        raise ValueError("the connection string is empty")
    return parts


def _public_endpoint(parts: dict[str, str]) -> str:
    if "accountname" not in parts:
        raise ValueError("the connection string has neither BlobEndpoint nor AccountName")
    scheme = parts.get("defaultendpointsprotocol", "https").lower()
    return f"{scheme}://{parts['accountname']}.blob.{parts.get('endpointsuffix') or _PUBLIC_SUFFIX}"


def _emulator(proxy: str | None) -> BlobAccount:
    host = _split_url(proxy, "DevelopmentStorageProxyUri").hostname if proxy else "127.0.0.1"
    endpoint = f"http://{host}:{_EMULATOR_PORT}/{_EMULATOR_ACCOUNT}"
    return BlobAccount(endpoint, _EMULATOR_ACCOUNT, key=SecretStr(_EMULATOR_KEY))


def _split_url(url: str, what: str) -> SplitResult:
    try:
        parsed = urlsplit(url.strip())
        usable = (
            _PLACE.fullmatch(parsed.netloc) is not None
            and bool(parsed.hostname)
            and (parsed.port is None or parsed.port > 0)
        )
    except ValueError:
        usable = False
    if not usable or not _PLACE.fullmatch(parsed.netloc) or parsed.scheme not in ("http", "https"):
        raise ValueError(f"{what} must be a URL such as https://<account>.blob.core.windows.net")
    if parsed.query or parsed.fragment:
        raise ValueError(
            f"{what} must end before '?'; a SAS token belongs into sas_token, where it is kept secret"
        )
    if "@" in parsed.netloc:
        raise ValueError(f"{what} must not hold a user name or password")
    return parsed


def _has_account_in_path(host: str) -> bool:
    return is_address(host) or "." not in host or host.endswith(_LOCAL_SUFFIXES)


def is_local(host: str) -> bool:
    if is_address(host):
        address = ipaddress.ip_address(host)
        return address.is_private or address.is_loopback
    return "." not in host or host.endswith(_LOCAL_SUFFIXES)


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _timestamp(text: str | None) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
