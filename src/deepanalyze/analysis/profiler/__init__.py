"""The built-in analyst that needs no model server."""

from deepanalyze.analysis.profiler.client import Profiler

__all__ = ["Profiler"]
