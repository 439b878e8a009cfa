"""Data sources as a Python package of their own: see the reference page for a worked example.

Nothing heavy is imported before it is used, so that `import deepanalyze.datasources` is quick. What it logs goes to the
standard `logging`, and nowhere unless the application configures that.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepanalyze.datasources.base import (
    Column,
    DataItem,
    DataSourceConfig,
    DataSourceConnector,
    DataSourceType,
    Progress,
)
from deepanalyze.datasources.capabilities import (
    Certificate,
    ColumnStatistics,
    Downloaded,
    Exported,
    Finding,
    PoolStats,
    Statistics,
    SupportsCertificate,
    SupportsDownload,
    SupportsExport,
    SupportsPoolStats,
    SupportsPreview,
    SupportsQuery,
    SupportsSchema,
    SupportsStatistics,
    SupportsUpload,
    Table,
)
from deepanalyze.datasources.limits import Limits, PoolLimits, RetryPolicy, SourceDefaults, Timeouts
from deepanalyze.datasources.policy import NetworkPolicy
from deepanalyze.errors import (
    AlreadyExists,
    BlobNotFound,
    ConfigurationError,
    DeepAnalyzeError,
    FileTooLarge,
    HostNotAllowed,
    InvalidRequest,
    NotFound,
    NotSupported,
    PermissionDenied,
    QueryFailed,
    QueryTimeout,
    QueryTooCostly,
    ReadOnlyViolation,
    ResultTooLarge,
    SourceAuthenticationFailed,
    SourceError,
    SourceUnavailable,
    TableNotFound,
)

if TYPE_CHECKING:
    from deepanalyze.datasources.connectors.azure_blob import AzureBlobConnector
    from deepanalyze.datasources.connectors.local_file import LocalFileConnector
    from deepanalyze.datasources.connectors.postgresql import PostgreSQLConnector
    from deepanalyze.datasources.credentials import CredentialManager
    from deepanalyze.datasources.pool import ConnectionPool
    from deepanalyze.datasources.pool_config import PoolConfig, PooledConnection
    from deepanalyze.datasources.pool_manager import ConnectionPoolManager
    from deepanalyze.datasources.references import DataReference, FetchedFile
    from deepanalyze.datasources.registry import DataSourceRegistry

logging.getLogger("deepanalyze").addHandler(logging.NullHandler())  # else warnings would go to stderr

_LAZY = {
    "AzureBlobConnector": "deepanalyze.datasources.connectors.azure_blob",
    "ConnectionPool": "deepanalyze.datasources.pool",
    "ConnectionPoolManager": "deepanalyze.datasources.pool_manager",
    "CredentialManager": "deepanalyze.datasources.credentials",
    "DataReference": "deepanalyze.datasources.references",
    "DataSourceRegistry": "deepanalyze.datasources.registry",
    "FetchedFile": "deepanalyze.datasources.references",
    "LocalFileConnector": "deepanalyze.datasources.connectors.local_file",
    "PoolConfig": "deepanalyze.datasources.pool_config",
    "PooledConnection": "deepanalyze.datasources.pool_config",
    "PostgreSQLConnector": "deepanalyze.datasources.connectors.postgresql",
}

__all__ = [
    "AlreadyExists",
    "AzureBlobConnector",
    "BlobNotFound",
    "Certificate",
    "Column",
    "ColumnStatistics",
    "ConfigurationError",
    "ConnectionPool",
    "ConnectionPoolManager",
    "CredentialManager",
    "DataItem",
    "DataReference",
    "DataSourceConfig",
    "DataSourceConnector",
    "DataSourceRegistry",
    "DataSourceType",
    "DeepAnalyzeError",
    "Downloaded",
    "Exported",
    "FetchedFile",
    "FileTooLarge",
    "Finding",
    "HostNotAllowed",
    "InvalidRequest",
    "Limits",
    "LocalFileConnector",
    "NetworkPolicy",
    "NotFound",
    "NotSupported",
    "PermissionDenied",
    "PoolConfig",
    "PoolLimits",
    "PoolStats",
    "PooledConnection",
    "PostgreSQLConnector",
    "Progress",
    "QueryFailed",
    "QueryTimeout",
    "QueryTooCostly",
    "ReadOnlyViolation",
    "ResultTooLarge",
    "RetryPolicy",
    "SourceAuthenticationFailed",
    "SourceDefaults",
    "SourceError",
    "SourceUnavailable",
    "Statistics",
    "SupportsCertificate",
    "SupportsDownload",
    "SupportsExport",
    "SupportsPoolStats",
    "SupportsPreview",
    "SupportsQuery",
    "SupportsSchema",
    "SupportsStatistics",
    "SupportsUpload",
    "Table",
    "TableNotFound",
    "Timeouts",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
