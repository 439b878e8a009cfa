"""Signing in to a storage account with tokens of Microsoft Entra: azure-identity asks a local Entra, Azurite takes
them.
"""

from __future__ import annotations

import json
import os
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deepanalyze.datasources import SourceAuthenticationFailed
from tests.support.azurite_tls import ACCOUNT, STORAGE, TlsAzurite, open_tls_azurite, storage_token
from tests.support.blob_sources import connector
from tests.support.canaries import legitimate
from tests.support.entra import CLIENT, HEADER, SECRET, TENANT, Entra, entra_server
from tests.support.logs import captured_logs
from tests.support.tls import Authority

CONTENT = b"n\n" + b"1\n" * 3_000_000  # more than one range
NAMES = {"plain.csv": CONTENT, "a//b\t☃.csv": b"odd"}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def account(
    authority: Authority, services_loop: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TlsAzurite]:
    path = tmp_path_factory.mktemp("tls") / "azurite"
    signed = authority.sign("azurite", "127.0.0.1")
    trusted = tmp_path_factory.mktemp("ca") / "ca.pem"
    trusted.write_text(authority.certificate)
    with services_loop.wrap_async_context_manager(open_tls_azurite(path, signed)) as azurite:
        with ContainerClient.from_connection_string(
            azurite.connection_string, "box", connection_verify=str(trusted)
        ) as client:
            client.create_container()
            for name, content in NAMES.items():
                client.upload_blob(name, content)
        yield azurite


@asynccontextmanager
async def identity(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Entra]:
    """A managed identity of this machine."""
    async with entra_server() as entra:
        entra.resource, entra.token = STORAGE, storage_token()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{entra.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", HEADER)
        yield entra


def config(account: TlsAzurite, authority: Authority, **changes: Any) -> dict[str, Any]:
    return {
        "container_name": "box",
        "account_url": account.endpoint,
        "credential": "managed_identity",
        "ca_certificate": authority.certificate,
        **changes,
    }


@pytest.mark.requirement("1.1")
async def test_a_managed_identity_lists_reads_and_writes(
    account: TlsAzurite, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with (
        identity(monkeypatch) as entra,
        connector(config(account, authority, read_only=False)) as blobs,
    ):
        assert await blobs.test_connection(), blobs.last_error
        assert NAMES.keys() <= {item.path async for item in blobs.iter_items(recursive=True)}
        for number, (name, content) in enumerate(NAMES.items()):  # by obstore, and by the SDK
            await blobs.download(name, tmp_path / str(number), max_bytes=10**8)
            assert (tmp_path / str(number)).read_bytes() == content
        (tmp_path / "up.csv").write_bytes(b"up")
        await blobs.upload_file(tmp_path / "up.csv", "results/up.csv")
        info = await blobs.server_info()
    assert entra.asked == 1  # kept while it is good
    assert (info["authentication"], info["account"]) == ("managed_identity", ACCOUNT)


async def test_a_token_is_replaced_before_it_ends(
    account: TlsAzurite, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with identity(monkeypatch) as entra:
        entra.lifetime_s = 0
        async with connector(config(account, authority)) as blobs:
            await blobs.download("plain.csv", tmp_path / "1", max_bytes=10**8)
            entra.token = storage_token(number=2)
            await blobs.download("plain.csv", tmp_path / "2", max_bytes=10**8)
    assert (tmp_path / "2").read_bytes() == CONTENT
    assert entra.asked > 1


async def test_a_token_that_the_account_does_not_take_is_told(
    account: TlsAzurite, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with identity(monkeypatch) as entra:
        entra.token = storage_token(lifetime_s=-10)
        with captured_logs() as logs:
            async with connector(config(account, authority)) as blobs:
                assert not await blobs.test_connection()
                assert isinstance(blobs.last_error, SourceAuthenticationFailed)
                assert "does not accept the token of the Microsoft Entra identity" in str(blobs.last_error)
        assert entra.token not in logs.getvalue() + repr(blobs.last_error.details)


async def test_without_an_identity_the_reason_is_told(
    account: TlsAzurite, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with identity(monkeypatch):
        monkeypatch.setenv("IDENTITY_HEADER", "wrong")
        async with connector(config(account, authority)) as blobs:
            with pytest.raises(SourceAuthenticationFailed, match="Entra gives no token"):
                await blobs.find("plain.csv")
            with pytest.raises(SourceAuthenticationFailed, match="Entra gives no token"):
                await blobs.list_items()


async def test_a_certificate_that_nobody_trusts_is_told(
    account: TlsAzurite, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with identity(monkeypatch), connector(config(account, authority, ca_certificate=None)) as blobs:
        assert not await blobs.test_connection()
        assert "the TLS connection" in str(blobs.last_error)


PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from deepanalyze.datasources import AzureBlobConnector, DataSourceConfig

async def main():
    config = DataSourceConfig("blobs", "azure_blob", "blobs", json.loads(sys.argv[1]))
    async with AzureBlobConnector(config) as blobs:
        assert await blobs.test_connection(), blobs.last_error
        print(Path(await blobs.fetch_data("plain.csv", sys.argv[2])).stat().st_size)

asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["secret", "certificate", "workload_identity"])
async def test_a_service_principal(
    account: TlsAzurite, authority: Authority, way: str, tmp_path: Path
) -> None:
    """In a process of its own, since what it trusts of Entra's TLS is read from the environment at its start."""
    (tmp_path / "ca.pem").write_text(authority.certificate)
    context = authority.sign("entra", "127.0.0.1").server_context(tmp_path)
    principal = {"credential": "service_principal", "tenant_id": TENANT, "client_id": CLIENT}
    environment = {"SSL_CERT_FILE": str(tmp_path / "ca.pem"), "PATH": os.defpath}
    if way == "secret":
        principal["client_secret"] = SECRET
    elif way == "certificate":
        principal["client_certificate"] = _certificate(tmp_path)
    else:
        (tmp_path / "federated").write_text("a.b.c")
        principal = {"credential": "workload_identity", "tenant_id": TENANT, "client_id": CLIENT}
        environment["AZURE_FEDERATED_TOKEN_FILE"] = str(tmp_path / "federated")
    async with entra_server(context) as entra:
        entra.resource, entra.token = STORAGE, storage_token()
        environment["AZURE_AUTHORITY_HOST"] = entra.url
        with legitimate("a program of the test's own is told what it connects to"):
            program = await create_subprocess_exec(
                *(
                    sys.executable,
                    "-c",
                    PROGRAM,
                    json.dumps(config(account, authority, **principal)),
                    str(tmp_path),
                ),
                env=environment,
                stdout=PIPE,
                stderr=PIPE,
            )
        out, complaint = await program.communicate()
    assert program.returncode == 0, complaint.decode()
    assert int(out) == len(CONTENT)
    assert entra.asked == 1


def _certificate(directory: Path) -> str:
    """Entra's credentials take RSA keys only."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "principal")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (certificate.public_bytes(serialization.Encoding.PEM) + pem).decode()
