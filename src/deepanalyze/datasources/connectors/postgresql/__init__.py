from deepanalyze.datasources.connectors.postgresql.config import PostgresConfig
from deepanalyze.datasources.connectors.postgresql.connector import PostgreSQLConnector

__all__ = ["PostgreSQLConnector", "PostgresConfig"]
