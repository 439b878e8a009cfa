"""An embedded Azurite: Azure Blob Storage on a free loopback port, with an account and key of its own."""

from deepanalyze.devservices.azurite.service import Azurite, open_azurite

__all__ = ["Azurite", "open_azurite"]
