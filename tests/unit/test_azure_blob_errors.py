from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.storage.blob import StorageErrorCode
from pydantic import SecretStr

from deepanalyze.datasources.connectors.azure_blob.account import BlobAccount
from deepanalyze.datasources.connectors.azure_blob.errors import BlobErrors, retry_after_s
from deepanalyze.errors import (
    AlreadyExists,
    BlobNotFound,
    DeepAnalyzeError,
    InternalError,
    NotFound,
    SourceAuthenticationFailed,
    SourceUnavailable,
    Stale,
)
from tests.support.canaries import canary

SECRET = canary("signature")

WITH_KEY = BlobAccount("https://acme.blob.core.windows.net", "acme", key=SecretStr("Y2FuYXJ5"))


@dataclass
class Response:
    """As much of an answer as an exception of the SDK is made from."""

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = "because"


def answered(status: int, code: str = "", **headers: str) -> HttpResponseError:
    named = {"x-ms-error-code": code, "x-ms-request-id": "req-1"} if code else {}
    return HttpResponseError(f"{SECRET}: Azure's own words", response=Response(status, {**named, **headers}))


def explain(
    error: HttpResponseError, *, account: BlobAccount = WITH_KEY, blob: str | None = "a.csv"
) -> DeepAnalyzeError:
    return BlobErrors("sales", account, "box").explain(error, "read" if blob else "list", blob)


def with_sas(query: str) -> BlobAccount:
    return BlobAccount(WITH_KEY.endpoint, "acme", sas=SecretStr(query + f"&sig={SECRET}"))


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "AuthenticationFailed", SourceAuthenticationFailed, "account key is wrong for account 'acme'"),
        (403, "AuthorizationFailure", SourceAuthenticationFailed, "or the account's network rules"),
        (403, "KeyBasedAuthenticationNotPermitted", SourceAuthenticationFailed, "does not allow access keys"),
        (403, "AccountIsDisabled", SourceAuthenticationFailed, "disabled"),
        (404, "ContainerNotFound", NotFound, "container 'box' does not exist in account 'acme'"),
        (409, "ContainerBeingDeleted", NotFound, "being deleted"),
        (404, "BlobNotFound", BlobNotFound, "blob 'a.csv' in container 'box'"),
        (404, "", BlobNotFound, "does not exist"),
        (409, "BlobArchived", SourceUnavailable, "rehydrate"),
        (409, "BlobAlreadyExists", AlreadyExists, "exists already"),
        (412, "ConditionNotMet", Stale, "changed meanwhile"),
        (412, "LeaseIdMissing", SourceUnavailable, "another client holds a lease on it"),
        (409, "LeaseAlreadyPresent", SourceUnavailable, "another client holds a lease on it"),
        (409, "BlobUsesCustomerSpecifiedEncryption", SourceUnavailable, "a key that only its owner holds"),
        (409, "BlobBeingRehydrated", SourceUnavailable, "still being rehydrated"),
        (409, "PublicAccessNotPermitted", SourceAuthenticationFailed, "lets nobody in without credentials"),
        (403, "KeyVaultEncryptionKeyNotFound", SourceUnavailable, "own encryption key cannot be used"),
        (400, "AccountRequiresHttps", SourceAuthenticationFailed, "takes https only"),
        (503, "ServerBusy", SourceUnavailable, "throttles"),
        (500, "InternalError", SourceUnavailable, "answered 500 InternalError"),
        (418, "", SourceUnavailable, "answered 418"),
    ],
)
def test_answers_are_told_apart(status: int, code: str, kind: type[DeepAnalyzeError], words: str) -> None:
    found = explain(answered(status, code))
    assert type(found) is kind
    assert words in found.message
    assert found.message.startswith("source 'sales': ")
    assert SECRET not in found.message + repr(found.details)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("This request is not authorized to perform this operation.", ": the account's network rules keep"),
        ("Server failed to authenticate the request.", "the account key is wrong"),
        (
            "",
            "the account key is wrong for account 'acme' (it may have been rotated), or the account's network",
        ),
    ],
)
def test_a_network_rule_is_told_from_a_wrong_key_where_azure_says_so(text: str, words: str) -> None:
    error = answered(403, "AuthorizationFailure")
    error.message = text
    assert words in explain(error).message


@pytest.mark.parametrize(
    ("account", "code", "words"),
    [
        (
            BlobAccount(WITH_KEY.endpoint, "acme", entra=True),
            "AuthorizationPermissionMismatch",
            "the Microsoft Entra identity lacks the permission to read; give it the role 'Storage Blob Data Reader'",
        ),
        (
            BlobAccount(WITH_KEY.endpoint, "acme", entra=True),
            "InvalidAuthenticationInfo",
            "does not accept the token",
        ),
        (BlobAccount(WITH_KEY.endpoint, "acme"), "NoAuthenticationInformation", "no credentials arrived"),
    ],
)
def test_refusals_fit_the_way_in(account: BlobAccount, code: str, words: str) -> None:
    assert words in explain(answered(401, code), account=account).message


@pytest.mark.parametrize(
    ("sas", "code", "words"),
    [
        ("sp=rl&se=2020-01-01T00:00:00Z", "AuthenticationFailed", "expired at 2020-01-01 00:00 UTC"),
        ("sp=rl&st=2999-01-01&se=2999-02-01", "AuthenticationFailed", "valid only from 2999-01-01"),
        (
            "sp=l&se=2999-01-01",
            "AuthorizationPermissionMismatch",
            "lacks the permission to read; it has list",
        ),
        ("sp=rl&se=2999-01-01", "AuthorizationResourceTypeMismatch", "lacks the permission to read"),
        ("sp=rl&se=2999-01-01", "AuthorizationSourceIPMismatch", "other IP addresses"),
        ("sp=rl&se=2999-01-01", "AuthenticationFailed", "its signature is wrong"),
    ],
)
def test_refused_sas_tokens_are_told_apart(sas: str, code: str, words: str) -> None:
    found = explain(answered(403, code), account=with_sas(sas))
    assert isinstance(found, SourceAuthenticationFailed)
    assert words in found.message
    assert SECRET not in found.message


def test_every_code_that_azure_knows_is_mapped() -> None:
    for code in StorageErrorCode:
        for status in (400, 401, 403, 404, 409, 412, 416, 429, 500, 503):
            for blob in ("a.csv", None):
                found = explain(answered(status, code.value), blob=blob)
                assert isinstance(found, DeepAnalyzeError)
                assert not isinstance(found, InternalError)
                assert "source 'sales'" in found.message


def test_throttling_says_when_to_come_back() -> None:
    found = explain(answered(503, "ServerBusy", **{"Retry-After": "17"}))
    assert found.retry_after_s == 17
    assert "in 17 s" in found.message


@pytest.mark.parametrize(("text", "expected"), [("3", 3.0), ("-3", 0.0), ("soon", None), ("", None)])
def test_retry_after(text: str, expected: float | None) -> None:
    assert retry_after_s(Response(503, {"Retry-After": text})) == expected


def test_retry_after_as_a_date() -> None:
    assert retry_after_s(Response(503, {"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"})) == 0.0
    later = retry_after_s(Response(503, {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}))
    assert later is not None
    assert later > 4102444800 - time.time() - 60


def test_what_is_not_an_answer_names_the_host() -> None:
    for error in (ServiceRequestError("x"), ServiceResponseError("x")):
        found = BlobErrors("sales", WITH_KEY, "box").explain(error, "list")
        assert isinstance(found, SourceUnavailable)
        assert "acme.blob.core.windows.net" in found.message


def test_names_in_messages_hold_no_control_characters() -> None:
    found = explain(answered(404, "BlobNotFound"), blob="a\n2024-01-01 forged log line\x1b[31m" + "x" * 2000)
    assert "\n" not in found.message
    assert "\x1b" not in found.message
    assert len(found.message) < 600
