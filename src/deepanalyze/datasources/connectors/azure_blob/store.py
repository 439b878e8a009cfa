"""Reading ranges of blobs with obstore.

Only its blocking calls are used, in worker threads: after its asynchronous ones the interpreter sometimes aborts at
exit. Its errors are not told apart here: they may quote a signed URL, and the SDK asks again anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore

from deepanalyze.datasources.connectors.azure_blob.account import BlobAccount
from deepanalyze.datasources.connectors.azure_blob.network import needs_no_resolver
from deepanalyze.datasources.policy import NetworkPolicy

if TYPE_CHECKING:
    from obstore.store import AzureConfig

# Empty, `.` and `..` parts and control characters: obstore refuses them or reads another name.
_NOT_TAKEN = re.compile(r"(^|/)\.{0,2}(/|$)|[\x00-\x1f\x7f-\x9f\\]")


class RangeReader:
    def __init__(
        self,
        account: BlobAccount,
        container: str,
        *,
        connect_s: float,
        stall_s: float,
        network: NetworkPolicy,
    ) -> None:
        usable = account.name is not None and needs_no_resolver(account.host, network)
        try:
            self._store = _store(account, container, connect_s, stall_s) if usable else None
        except BaseError:  # a signature that it cannot decode, for one; the SDK's requests tell what is wrong
            self._store = None

    def takes(self, name: str) -> bool:
        return self._store is not None and _NOT_TAKEN.search(name) is None

    def read(self, name: str, start: int, length: int, etag: str, write: Callable[[int, Any], None]) -> bool:
        """Whether it worked. The ETag guards against a blob that changed, and against reading another one."""
        assert self._store is not None
        try:
            found = obstore.get(
                self._store, name, options={"range": (start, start + length), "if_match": etag}
            ).bytes()
        except (BaseError, OSError, ValueError):
            return False
        if len(found) != length:
            return False
        write(start, found)
        return True


def _store(account: BlobAccount, container: str, connect_s: float, stall_s: float) -> AzureStore:
    # Everything is said, because what is left open would be taken from AZURE_* variables of this process.
    config: AzureConfig = {
        "account_name": account.name or "",
        "endpoint": account.endpoint,
        "use_emulator": False,
        "skip_signature": False,
    }
    if account.sas is not None:
        config["credential_type"] = "sas_token"
        config["sas_key"] = account.sas.get_secret_value()
    elif account.key is not None:
        config["credential_type"] = "access_key"
        config["account_key"] = account.key.get_secret_value()
    return AzureStore(
        container,
        config=config,
        client_options={
            "allow_http": account.endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=connect_s),
            "read_timeout": timedelta(seconds=stall_s),
            "timeout": timedelta(minutes=5),
        },
        retry_config={"max_retries": 0},
    )
