"""A thread's directory. Code in the sandbox owns it and may plant anything there, so the server opens nothing in it
without care: no links are followed, only regular files with one link count, names never leave the directory.
"""

from deepanalyze.workspace.directory import Snapshot, Workspace, WorkspaceFile
from deepanalyze.workspace.identity import sandbox_uid
from deepanalyze.workspace.usage import DiskUsage

__all__ = ["DiskUsage", "Snapshot", "Workspace", "WorkspaceFile", "sandbox_uid"]
