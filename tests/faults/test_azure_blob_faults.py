"""The network and the service fail; the source answers with the right bytes or a clear error, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepanalyze.datasources.base import Progress
from deepanalyze.datasources.connectors.azure_blob import session as session_module
from deepanalyze.datasources.limits import RetryPolicy, SourceDefaults, Timeouts
from deepanalyze.errors import HostNotAllowed, QuotaExceeded, SourceUnavailable
from tests.support.blob_proxy import blob_proxy
from tests.support.blob_sources import QUICK, connector, key_config, left_over, put, sas_config
from tests.support.services import BlobContainer

MIB = 1024**2


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port that is taken and on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_service_that_does_not_run(
    container: BlobContainer, refusing_port: int, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{refusing_port}/dev"
    for config in (key_config(container, account_url=url), sas_config(container, account_url=url)):
        async with connector(config) as blobs:
            assert not await blobs.test_connection()
            assert isinstance(blobs.last_error, SourceUnavailable)
            for call in (
                blobs.list_items(),
                blobs.find("a"),
                blobs.find("*"),
                blobs.fetch_data("a", tmp_path),
            ):
                with pytest.raises(
                    SourceUnavailable, match=rf"127.0.0.1:{refusing_port} refuses connections"
                ):
                    await call
    assert left_over(tmp_path) == set()


async def test_a_host_that_does_not_exist(container: BlobContainer) -> None:
    async with connector(sas_config(container, account_url="https://no-such-account.invalid")) as blobs:
        with pytest.raises(SourceUnavailable, match=r"no such host no-such-account.invalid"):
            await blobs.list_items()


async def test_something_else_answers(container: BlobContainer) -> None:
    async def web_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(web_server, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connector(key_config(container, account_url=f"http://127.0.0.1:{port}/dev")) as blobs:
            with pytest.raises(SourceUnavailable, match="does not answer like a blob service"):
                await blobs.list_items()


async def test_plain_http_where_tls_is_asked_for(container: BlobContainer) -> None:
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint.replace("http://", "https://"))) as blobs,
    ):
        with pytest.raises(SourceUnavailable, match=r"TLS connection to 127.0.0.1:"):
            await blobs.list_items()


@pytest.mark.parametrize("cut_after", [0, 100, 1000, MIB, 3 * MIB])
async def test_cut_connections_are_made_good(
    container: BlobContainer, cut_after: int, tmp_path: Path
) -> None:
    content = os.urandom(10 * MIB)
    put(container, {"a.bin": content})
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint)) as blobs,
    ):
        await blobs.get_metadata("a.bin")
        proxy.cut_after, proxy.cuts = cut_after, 2
        await blobs.download("a.bin", tmp_path / "a", max_bytes=20 * MIB)
        assert proxy.cuts == 0
    assert (tmp_path / "a").read_bytes() == content
    assert left_over(tmp_path, {"a"}) == set()


async def test_a_service_that_dies_during_a_download(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.bin": os.urandom(30 * MIB)})
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint)) as blobs,
    ):

        def die(_: Progress) -> None:
            proxy.cuts = 1_000_000

        with pytest.raises(SourceUnavailable, match=r"cannot read blob 'a.bin'"):
            await blobs.download("a.bin", tmp_path / "a", max_bytes=50 * MIB, on_progress=die)
    assert left_over(tmp_path) == set()


async def test_a_service_that_falls_silent(
    container: BlobContainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_STALL_S", 0.3)
    put(container, {"a.bin": os.urandom(MIB)})
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint)) as blobs,
    ):
        await blobs.list_items()
        proxy.stalled.set()
        with pytest.raises(SourceUnavailable, match="did not answer in time"):
            await blobs.list_items()
        with pytest.raises(SourceUnavailable, match=r"cannot read blob 'a.bin'.*did not answer in time"):
            await blobs.download("a.bin", tmp_path / "a", max_bytes=MIB)
    assert left_over(tmp_path) == set()


async def test_throttling_is_waited_out(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.csv": b"x"})
    patient = SourceDefaults(
        timeouts=Timeouts(connect_s=2),
        retries=RetryPolicy(max_attempts=3, base_delay_s=0.01, max_delay_s=0.05),
    )
    async with blob_proxy(container.blob_endpoint) as proxy:
        for operation in ("list", "read", "fetch"):
            async with connector(
                key_config(container, account_url=proxy.endpoint), defaults=patient
            ) as blobs:
                proxy.busy = 2
                if operation == "list":
                    assert len(await blobs.list_items()) == 1
                elif operation == "read":
                    assert (await blobs.get_metadata("a.csv"))["size"] == 1
                else:
                    assert Path(await blobs.fetch_data("a.csv", tmp_path)).read_bytes() == b"x"
                assert proxy.busy == 0


async def test_throttling_without_an_end_says_when_to_come_back(container: BlobContainer) -> None:
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint)) as blobs,
    ):
        proxy.busy, proxy.retry_after_s = 1_000, 120
        with pytest.raises(SourceUnavailable, match="throttles requests; try again in 120 s") as raised:
            await blobs.list_items()
        assert raised.value.retry_after_s == 120
        assert proxy.busy == 999  # waiting that long is for the caller to decide


async def test_retry_after_is_honoured(container: BlobContainer) -> None:
    """The wait asked for is longer than any of our own, so how long it took tells which was used."""
    put(container, {"a.csv": b"x"})
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint)) as blobs,
    ):
        proxy.busy, proxy.retry_after_s = 1, 1
        before = time.monotonic()
        await blobs.list_items()
        assert time.monotonic() - before >= 1 > QUICK.retries.max_delay_s


async def test_a_disk_that_is_full(container: BlobContainer, tmp_path: Path) -> None:
    """As far as this process may write; the limit is lifted again before anything else is written."""
    put(container, {"a.bin": os.urandom(3 * MIB)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with connector(key_config(container)) as blobs:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, hard))
        try:
            with pytest.raises(QuotaExceeded, match="no space is left to write 'a'"):
                await blobs.download("a.bin", tmp_path / "a", max_bytes=50 * MIB)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
    assert left_over(tmp_path) == set()


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fe80::1]", "0.0.0.0", "0xa9fea9fe", "2852039166", "0"],
)
async def test_metadata_addresses_are_out_of_bounds(container: BlobContainer, host: str) -> None:
    async def use() -> None:
        async with connector(sas_config(container, account_url=f"http://{host}/latest")) as blobs:
            await blobs.list_items()

    with pytest.raises(HostNotAllowed):
        await use()


async def test_a_proxy_for_the_world_outside_is_not_asked_for_this_machine(
    container: BlobContainer, refusing_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(container, {"a.csv": b"x"})
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{refusing_port}")
    async with connector(key_config(container)) as blobs:
        assert Path(await blobs.fetch_data("a.csv", tmp_path)).read_bytes() == b"x"


async def test_a_host_by_its_name(container: BlobContainer, tmp_path: Path) -> None:
    put(container, {"a.csv": b"x"})
    url = container.blob_endpoint.replace("127.0.0.1", "localhost")
    async with connector(key_config(container, account_url=url)) as blobs:
        assert Path(await blobs.fetch_data("a.csv", tmp_path)).read_bytes() == b"x"


async def test_cancelling_while_the_service_is_silent_is_immediate(
    container: BlobContainer, tmp_path: Path
) -> None:
    put(container, {"a.bin": os.urandom(30 * MIB)})
    async with (
        blob_proxy(container.blob_endpoint) as proxy,
        connector(key_config(container, account_url=proxy.endpoint)) as blobs,
    ):
        silent = asyncio.Event()

        def stall(_: Progress) -> None:
            proxy.stalled.set()
            silent.set()

        download = asyncio.create_task(
            blobs.download("a.bin", tmp_path / "a", max_bytes=50 * MIB, on_progress=stall)
        )
        await silent.wait()
        download.cancel()
        with pytest.raises(asyncio.CancelledError):
            await download
        assert left_over(tmp_path) == set()
