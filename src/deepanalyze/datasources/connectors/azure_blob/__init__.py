"""Azure Blob Storage as a data source."""

from deepanalyze.datasources.connectors.azure_blob.config import AzureBlobConfig
from deepanalyze.datasources.connectors.azure_blob.connector import AzureBlobConnector

__all__ = ["AzureBlobConfig", "AzureBlobConnector"]
