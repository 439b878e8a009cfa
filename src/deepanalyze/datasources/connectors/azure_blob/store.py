"""Reading ranges of blobs with obstore.

Only its blocking calls are used, in worker threads: after its asynchronous ones the interpreter sometimes aborts at
exit. Its errors are not told apart here: they may quote a signed URL, and the SDK asks again anyway.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore

from deepanalyze.datasources.connectors.azure_blob.account import BlobAccount
from deepanalyze.datasources.connectors.azure_blob.names import BlobRef
from deepanalyze.datasources.connectors.azure_blob.network import is_beyond_doubt
from deepanalyze.datasources.policy import NetworkPolicy

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig

# obstore follows redirects, and nothing turns that off. Requests to any host but the account's own go to a proxy that
# cannot be there, and fail: an account on this machine can lead no further than to another port of it, where its maker
# may point a source anyway. Without a proxy of ours it would also take one from the environment.
_NOWHERE = "http://127.0.0.1:0"
# Small enough that their memory is used again; buffers of a whole range cost twice the CPU
_PIECE_BYTES = 256 * 1024
# Empty, `.` and `..` parts and control characters: obstore refuses them or reads another name.
_NOT_TAKEN = re.compile(r"(^|/)\.{0,2}(/|$)|[\x00-\x1f\x7f-\x9f\\]")


def _pieces(store: AzureStore, name: str, start: int, end: int, etag: str) -> Iterator[Any]:
    """As many as arrive."""
    try:
        found = obstore.get(store, name, options={"range": (start, end), "if_match": etag})
        if end - start <= _PIECE_BYTES:
            yield found.bytes()
        else:
            yield from found.stream(min_chunk_size=_PIECE_BYTES)
    except (BaseError, OSError, ValueError):
        return


class RangeReader:
    """Reads what it can; for versions, odd names and hosts that only a checked resolver may look up it says no."""

    def __init__(
        self,
        account: BlobAccount,
        container: str,
        *,
        connect_s: float,
        stall_s: float,
        network: NetworkPolicy,
        ca_certificate: str | None,
        through_proxies: bool,
    ) -> None:
        self._usable = account.name is not None and is_beyond_doubt(account.host, network)
        self._account = account
        self._container = container
        self._client_options: ClientConfig = {
            "allow_http": account.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=connect_s),
            "read_timeout": timedelta(seconds=stall_s),
            # Of a whole range; `read_timeout` is for a service that falls silent
            "timeout": timedelta(hours=1),
        }
        if not through_proxies:
            self._client_options |= {"proxy_url": _NOWHERE, "proxy_excludes": account.host}
        if ca_certificate is not None:
            self._client_options["root_certificate"] = ca_certificate
        self._making = threading.Lock()
        self._made: tuple[AzureConfig, AzureStore | None] | None = None

    def takes(self, blob: BlobRef) -> bool:
        return self._usable and not blob.is_version and _NOT_TAKEN.search(blob.name) is None

    def read(
        self,
        authorisation: AzureConfig,
        name: str,
        start: int,
        length: int,
        etag: str,
        write: Callable[[int, Any], None],
    ) -> int:
        """How many bytes arrived and were written; the caller asks elsewhere for those that did not. The ETag guards
        against a blob that changed, and against reading another one.
        """
        store = self._store(authorisation)
        if store is None:
            return 0
        place, end = start, start + length
        for piece in _pieces(store, name, start, end, etag):
            part = memoryview(piece)[: end - place]
            write(place, part)
            place += len(part)
        return place - start

    def _store(self, authorisation: AzureConfig) -> AzureStore | None:
        """The same one as long as the authorisation is the same: a token is replaced now and then."""
        with self._making:
            if self._made is None or self._made[0] != authorisation:
                self._made = (authorisation, self._new_store(authorisation))
            return self._made[1]

    def _new_store(self, authorisation: AzureConfig) -> AzureStore | None:
        # Everything is said, because what is left open would be taken from AZURE_* variables of this process.
        config: AzureConfig = {
            "account_name": self._account.name or "",
            "endpoint": self._account.endpoint,
            "use_emulator": False,
            "skip_signature": False,
            **authorisation,
        }
        try:
            return AzureStore(
                self._container,
                config=config,
                client_options=self._client_options,
                retry_config={"max_retries": 0},
            )
        except BaseError:  # a signature that it cannot decode, for one; the SDK's requests tell what is wrong
            return None
