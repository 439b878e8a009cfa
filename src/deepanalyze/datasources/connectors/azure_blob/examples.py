"""What templates show; the secrets are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_KEY = "bm90IGEgcmVhbCBrZXk6IHRha2UgaXQgZnJvbSB0aGUgcG9ydGFs"
_SAS = "sv=2024-11-04&sr=c&sp=rl&se=2030-01-01T00%3A00%3A00Z&sig=bm90IGEgcmVhbCBzaWduYXR1cmU%3D"

EXAMPLES: Sequence[Mapping[str, Any]] = (
    {
        "title": "SAS token",
        "description": "Limited to one container, a time and a few rights (read and list are enough): the best choice.",
        "config": {
            "container_name": "sales",
            "account_url": "https://myaccount.blob.core.windows.net",
            "sas_token": _SAS,
        },
    },
    {
        "title": "Connection string",
        "description": "As the portal shows it under Access keys or Shared access signature.",
        "config": {
            "container_name": "sales",
            "connection_string": f"DefaultEndpointsProtocol=https;AccountName=myaccount;AccountKey={_KEY};"
            "EndpointSuffix=core.windows.net",
        },
    },
    {
        "title": "Account key",
        "description": "Opens the whole account; a SAS token is the safer choice.",
        "config": {
            "container_name": "sales",
            "account_url": "https://myaccount.blob.core.windows.net",
            "account_key": _KEY,
        },
    },
    {
        "title": "Microsoft Entra, service principal",
        "description": "An application of your tenant with the role Storage Blob Data Reader; its secret, or "
        "client_certificate instead.",
        "config": {
            "container_name": "sales",
            "account_url": "https://myaccount.blob.core.windows.net",
            "credential": "service_principal",
            "tenant_id": "11111111-2222-3333-4444-555555555555",
            "client_id": "66666666-7777-8888-9999-000000000000",
            "client_secret": "made-up",
        },
    },
    {
        "title": "Microsoft Entra, managed identity",
        "description": "The identity of the machine that DeepAnalyze runs on; for administrators.",
        "config": {
            "container_name": "sales",
            "account_url": "https://myaccount.blob.core.windows.net",
            "credential": "managed_identity",
        },
    },
    {
        "title": "Public container",
        "description": "Open to all, without any credentials.",
        "config": {
            "container_name": "samples",
            "account_url": "https://myaccount.blob.core.windows.net",
            "anonymous": True,
        },
    },
    {
        "title": "Azurite, the emulator",
        "description": "On its usual port on this machine.",
        "config": {"container_name": "sales", "connection_string": "UseDevelopmentStorage=true"},
    },
)

PATH_PATTERNS: Sequence[Mapping[str, str]] = (
    {"pattern": "sales/2024/orders.csv", "description": "one blob, by its whole name"},
    {"pattern": "sales/2024/", "description": "everything below a folder"},
    {"pattern": "sales/*.csv", "description": "the CSV files of one folder"},
    {"pattern": "**/2024/*.parquet", "description": "in every folder named 2024, at any depth"},
    {"pattern": "logs/2024-0[1-3]-??.json", "description": "`[…]` is one of these characters, `?` any one"},
    {"pattern": "{north,south}/sales.csv", "description": "one of several alternatives"},
    {
        "pattern": "orders.csv?versionid=2025-01-31T08:00:00.0000000Z",
        "description": "an earlier version of a blob; `?snapshot=…` for a snapshot",
    },
)
