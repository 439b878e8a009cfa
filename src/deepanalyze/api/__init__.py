"""The HTTP API: parses, authorises, calls one service, renders; no logic of its own."""

from deepanalyze.api.app import create_app

__all__ = ["create_app"]
