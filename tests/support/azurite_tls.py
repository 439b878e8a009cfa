"""An Azurite that speaks TLS and takes tokens of Microsoft Entra, which it does over TLS only."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deepanalyze.devservices.azurite.install import ENTRY, install_azurite, node_program
from deepanalyze.devservices.process import Command
from deepanalyze.devservices.starting import HOST, Service, start_service
from deepanalyze.devservices.state import open_directory
from tests.support.canaries import canary, canary_key, legitimate
from tests.support.tls import Signed

ACCOUNT = "acme"
KEY = canary_key("account of a TLS Azurite")
_SIGNATURE = base64.urlsafe_b64encode(canary("storage token").encode()).decode().rstrip("=")
STORAGE = "https://storage.azure.com"


@dataclass(frozen=True, slots=True)
class TlsAzurite:
    endpoint: str

    @property
    def connection_string(self) -> str:
        return f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"


@asynccontextmanager
async def open_tls_azurite(path: Path, signed: Signed) -> AsyncIterator[TlsAzurite]:
    installed = await install_azurite()
    path.mkdir()
    certificate, key = signed.write(path, "azurite")
    async with open_directory(path / "state") as directory:

        def command(port: int) -> Command:
            return Command(
                "Azurite",
                [
                    *(str(node_program()), str(installed / ENTRY)),
                    *("--blobHost", HOST, "--blobPort", str(port), "--location", str(path)),
                    *("--cert", str(certificate), "--key", str(key), "--oauth", "basic"),
                    *("--silent", "--disableTelemetry", "--disableProductStyleUrl", "--skipApiVersionCheck"),
                ],
                directory=path,
                log=path / "azurite.log",
                environment={"PATH": os.defpath, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"},
                keep_fds=(directory.lock_fd,),
            )

        service = Service("Azurite", command, _answers, port_taken="EADDRINUSE")
        with legitimate("Azurite takes its accounts' keys from its environment only"):
            process, port = await start_service(service, None)
        try:
            yield TlsAzurite(f"https://{HOST}:{port}/{ACCOUNT}")
        finally:
            await process.stop()


async def _answers(port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    except OSError:
        return False
    writer.close()
    return True


def storage_token(*, lifetime_s: int = 3600, number: int = 1) -> str:
    """As Entra makes them, but for the signature, which Azurite does not look at."""
    now = int(time.time())
    claims = {
        "aud": STORAGE,
        "iss": "https://sts.windows.net/11111111-2222-3333-4444-555555555555/",
        "iat": now,
        "nbf": now - 60,
        "exp": now + lifetime_s,
        "uti": f"token-{number}",
    }
    return f"{_part({'typ': 'JWT', 'alg': 'RS256'})}.{_part(claims)}.{_SIGNATURE}"


def _part(value: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
