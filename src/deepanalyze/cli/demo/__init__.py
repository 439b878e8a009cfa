"""`deepanalyze demo`: the main job over real parts, on this machine alone."""

from deepanalyze.cli.demo.command import demo

__all__ = ["demo"]
