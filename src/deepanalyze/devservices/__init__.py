"""Embedded PostgreSQL and Azurite with sample data, for the demo, development and tests. Never for production."""

from deepanalyze.devservices.services import Services, open_services

__all__ = ["Services", "open_services"]
