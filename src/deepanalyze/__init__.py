"""DeepAnalyze: a self-hosted data analyst over PostgreSQL, Azure Blob Storage and files."""

__version__ = "0.1.0"
