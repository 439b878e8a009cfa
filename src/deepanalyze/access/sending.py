"""A file of a workspace on its way into a source."""

from __future__ import annotations

import os
from collections.abc import Mapping

from deepanalyze.datasources.base import DataItem
from deepanalyze.datasources.capabilities import SupportsUpload
from deepanalyze.datasources.undoing import made_in_thread
from deepanalyze.workspace import Workspace


async def send(
    connector: SupportsUpload,
    workspace: Workspace,
    file: str,
    path: str,
    *,
    overwrite: bool,
    metadata: Mapping[str, str],
) -> DataItem:
    """Raises NotFound for what is no plain file of the workspace, and what `upload` raises."""
    descriptor, described = await made_in_thread(lambda: workspace.open(file), lambda made: os.close(made[0]))
    with os.fdopen(descriptor, "rb") as opened:
        return await connector.upload(
            opened, path, overwrite=overwrite, content_type=described.mime_type, metadata=metadata
        )
