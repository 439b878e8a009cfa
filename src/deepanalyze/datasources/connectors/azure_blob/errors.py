"""What goes wrong at Azure Blob Storage, told in our own words: the one place where its errors are mapped."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)

from deepanalyze.datasources.connectors.azure_blob.account import BlobAccount, Way
from deepanalyze.datasources.paths import printable
from deepanalyze.errors import (
    AlreadyExists,
    BlobNotFound,
    DeepAnalyzeError,
    InvalidRequest,
    NotFound,
    SourceAuthenticationFailed,
    SourceUnavailable,
    Stale,
)

Action = Literal["list", "read", "write"]

_NEEDED = {"list": ("list", "l"), "read": ("read", "r"), "write": ("create and write", "w")}
_ROLES = {
    "list": "Storage Blob Data Reader",
    "read": "Storage Blob Data Reader",
    "write": "Storage Blob Data Contributor",
}
_HELD: Mapping[Way, str] = {
    "account_key": "the account key",
    "sas": "the SAS token",
    "entra": "the Microsoft Entra identity",
    "anonymous": "a request without credentials",
}
_REFUSED = {
    "AccountIsDisabled": "the account is disabled",
    "AccountRequiresHttps": "the account takes https only; use an https:// address",
    "AuthorizationProtocolMismatch": "the SAS token allows https only; use an https:// address",
    "AuthorizationSourceIPMismatch": "the SAS token is limited to other IP addresses; ask for one that includes this "
    "server's",
    "KeyBasedAuthenticationNotPermitted": "the account does not allow access keys; use Microsoft Entra (credential) or "
    "a user delegation SAS",
    "NoAuthenticationInformation": "no credentials arrived; give a SAS token, an account key or a credential",
    "PublicAccessNotPermitted": "the account lets nobody in without credentials; give a SAS token, an account key or a "
    "credential",
}
_NOT_READABLE = {
    "BlobArchived": "it is archived; rehydrate it to the Hot or Cool tier first",
    "BlobBeingRehydrated": "it is still being rehydrated from the archive; try again later",
    "BlobUsesCustomerSpecifiedEncryption": "it is encrypted with a key that only its owner holds",
    "BlobImmutableDueToPolicy": "an immutability policy protects it",
}
_LACKING = frozenset(
    {
        "AuthorizationPermissionMismatch",
        "AuthorizationResourceTypeMismatch",
        "AuthorizationServiceMismatch",
        "InsufficientAccountPermissions",
    }
)


@dataclass(frozen=True, slots=True)
class BlobErrors:
    """Maps the errors of one source: `with errors.mapped("read", blob=name): …`.

    Azure's own texts are left out, because they quote requests; its error code and request id are kept in `details`.
    """

    source: str
    account: BlobAccount
    container: str

    @contextlib.contextmanager
    def mapped(self, action: Action, *, blob: str | None = None) -> Iterator[None]:
        try:
            yield
        except AzureError as error:
            raise self.explain(error, action, blob) from None

    def explain(self, error: AzureError, action: Action, blob: str | None = None) -> DeepAnalyzeError:
        if isinstance(error, HttpResponseError) and error.response is not None:
            return self._answered(error, action, blob)
        return self._unreachable(error, action, blob)

    def no_such_blob(self, path: str, hint: str = "") -> BlobNotFound:
        return BlobNotFound(f"source '{self.source}': {self._place(path)} does not exist{hint}", param="path")

    def no_match(self, path: str, hint: str = "") -> BlobNotFound:
        place = f"container '{self.container}'"
        return BlobNotFound(
            f"source '{self.source}': no blob in {place} matches '{printable(path)}'{hint}", param="path"
        )

    def exists_already(self, blob: str) -> str:
        return self._text(blob, "it exists already; overwrite it or take another name", "write")

    def _answered(self, error: HttpResponseError, action: Action, blob: str | None) -> DeepAnalyzeError:
        status, code = error.status_code or 0, _code(error)
        details = [_details(error, status, code)]
        if code in ("ContainerNotFound", "ContainerBeingDeleted") or (status == 404 and blob is None):
            being = "is being deleted" if code == "ContainerBeingDeleted" else "does not exist"
            if self.account.way == "anonymous" and code != "ContainerNotFound":
                being += ", or is not public,"
            return NotFound(
                f"source '{self.source}': container '{self.container}' {being} in account '{self.account.label}'; "
                "check container_name",
                details=details,
            )
        if status == 404:
            return BlobNotFound(self._text(blob, "it does not exist", action), param="path", details=details)
        if status == 409 and code in ("BlobAlreadyExists", "UnauthorizedBlobOverwrite"):
            return AlreadyExists(self.exists_already(blob or ""))
        if code.startswith("Lease"):
            reason = "another client holds a lease on it, and may alone change it until that ends"
            return SourceUnavailable(self._text(blob, reason, action), details=details)
        if status == 412:
            return Stale(self._text(blob, "it was changed meanwhile; try again", action), details=details)
        if code.startswith("KeyVault"):
            reason = f"the account's own encryption key cannot be used ({code}); its owner has to restore it"
            return SourceUnavailable(self._text(blob, reason, action), details=details)
        if (status in (401, 403) and code not in _NOT_READABLE) or code in _REFUSED:
            return SourceAuthenticationFailed(
                self._text(blob, self._refusal(error, code, action), action), details=details
            )
        if code in _NOT_READABLE:
            return SourceUnavailable(self._text(blob, _NOT_READABLE[code], action), details=details)
        if code in ("InvalidUri", "InvalidResourceName", "OutOfRangeInput"):
            return InvalidRequest(self._text(blob, "Azure does not accept that name", action), param="path")
        return self._failing(error, status, code, action, blob)

    def _failing(
        self, error: HttpResponseError, status: int, code: str, action: Action, blob: str | None
    ) -> DeepAnalyzeError:
        wait_s = retry_after_s(error.response)
        if status in (429, 503):
            when = f"in {wait_s:.0f} s" if wait_s else "later"
            reason = f"{self.account.address} is busy and throttles requests; try again {when}"
        else:
            reason = f"{self.account.address} answered {status} {code}".rstrip()
        details = [_details(error, status, code)]
        return SourceUnavailable(self._text(blob, reason, action), details=details, retry_after_s=wait_s)

    def _refusal(self, error: HttpResponseError, code: str, action: Action) -> str:
        sas, now, held = self.account.sas_facts, time.time(), _HELD[self.account.way]
        if sas and sas.expires_at is not None and sas.expires_at <= now:
            return f"the SAS token expired at {_utc(sas.expires_at)}; put a new one into sas_token"
        if sas and sas.starts_at is not None and sas.starts_at > now:
            return f"the SAS token is valid only from {_utc(sas.starts_at)} on"
        name, letter = _NEEDED[action]
        if code in _LACKING or (sas and sas.allows(letter) is False):
            has = f"; it has {', '.join(sas.permission_names)}" if sas and sas.permissions else ""
            role = f"; give it the role '{_ROLES[action]}'" if self.account.entra else ""
            return f"{held} lacks the permission to {name}{has}{role}"
        if code in _REFUSED:
            return _REFUSED[code]
        if code != "AuthorizationFailure":
            return f"{self._misfit()}; {self._remedy()}"
        kept_out = "the account's network rules keep this server's address out"
        words = _words(error)
        if "failed to authenticate" in words:
            return f"{self._misfit()}; {self._remedy()}"
        return kept_out if "not authorized" in words else f"{self._misfit()}, or {kept_out}"

    def _misfit(self) -> str:
        match self.account.way:
            case "sas":
                return "the SAS token does not fit this account and container (its signature is wrong)"
            case "account_key":
                return (
                    f"the account key is wrong for account '{self.account.label}' (it may have been rotated)"
                )
            case "entra":
                return f"account '{self.account.label}' does not accept the token of {_HELD['entra']}"
        return "the container does not let anybody read without credentials"

    def _remedy(self) -> str:
        match self.account.way:
            case "sas" | "account_key":
                return "copy it anew from the portal"
            case "entra":
                return "check that it belongs to the account's tenant"
        return "give a SAS token, an account key or a credential"

    def _unreachable(self, error: AzureError, action: Action, blob: str | None) -> DeepAnalyzeError:
        host = self.account.address
        kind = type(error.inner_exception).__name__
        if "DNS" in kind:
            reason = f"no such host {host}; check the account's name and this machine's DNS"
        elif "InvalidUrl" in kind or "InvalidURL" in kind:
            reason = f"'{host}' is not an address; check it"
        elif "Certificate" in kind or "SSL" in kind:
            reason = f"the TLS connection to {host} failed; check the address and the certificates this machine trusts"
        elif isinstance(error, ServiceResponseTimeoutError) or "Timeout" in kind:
            reason = f"{host} did not answer in time"
        elif isinstance(error, ServiceRequestError) and "Connector" in kind:
            reason = f"{host} refuses connections; check the address, the port and that the service runs"
        elif isinstance(error, (ServiceRequestError, ServiceResponseError)):
            reason = f"the connection to {host} was dropped"
        else:
            reason = f"the transfer from {host} failed ({type(error).__name__})"
        return SourceUnavailable(self._text(blob, reason, action))

    def _text(self, blob: str | None, reason: str, action: Action) -> str:
        return f"source '{self.source}': cannot {action} {self._place(blob)}: {reason}"

    def _place(self, blob: str | None) -> str:
        container = f"container '{self.container}'"
        return container if blob is None else f"blob '{printable(blob)}' in {container}"


def retry_after_s(response: Any) -> float | None:
    """The header in either of its forms; None where it is absent or makes no sense."""
    text = response.headers.get("Retry-After") if response is not None else None
    if not text:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(text)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _code(error: HttpResponseError) -> str:
    named = getattr(error, "error_code", None)
    return str(getattr(named, "value", named) or _header(error, "x-ms-error-code") or "")


def _details(error: HttpResponseError, status: int, code: str) -> dict[str, Any]:
    request_id = _header(error, "x-ms-request-id")
    return {"azure_status": status, "azure_code": code or None, "azure_request_id": request_id}


def _header(error: HttpResponseError, name: str) -> str | None:
    response: Any = error.response
    value: str | None = response.headers.get(name)
    return value


def _words(error: HttpResponseError) -> str:
    """Azure's own, for looking at only; a HEAD request's answer has none."""
    response: Any = error.response
    try:
        body = response.text()
    except (AttributeError, TypeError, ValueError, AzureError):  # not read, or no text
        body = ""
    return f"{error.message} {body}" if isinstance(body, str) else str(error.message)


def _utc(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
