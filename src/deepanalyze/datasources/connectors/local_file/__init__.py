"""Files of the machine that the server runs on, as a data source."""

from deepanalyze.datasources.connectors.local_file.config import LocalFileConfig
from deepanalyze.datasources.connectors.local_file.connector import LocalFileConnector

__all__ = ["LocalFileConfig", "LocalFileConnector"]
