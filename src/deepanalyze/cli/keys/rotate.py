"""`deepanalyze keys rotate`: stored secrets under a new encryption key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepanalyze.cli.options import ConfigFile, DataDir, Json
from deepanalyze.cli.shown import said

if TYPE_CHECKING:
    from deepanalyze.settings import Settings


def rotate(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Seal the audit trail and encrypt all stored secrets with the first encryption key, with the server stopped.

    Put the new key before the old one first: `new,old` in DEEPANALYZE_ENCRYPTION_KEY, or on a line above it in the key
    file. Once this is done the old key can go. What was interrupted is gone on with by running it again.
    """
    from deepanalyze.cli.failures import told_clearly
    from deepanalyze.cli.loop import run
    from deepanalyze.settings import load_settings

    with told_clearly():
        settings = load_settings({"data_dir": data_dir}, config)
        run(_rotate(settings, json))


async def _rotate(settings: Settings, json: bool) -> None:
    from deepanalyze.runtime import rotate_encryption_keys

    done = await rotate_encryption_keys(settings)
    sentence = (
        f"{done.rotated} data sources encrypted with the first key, {done.skipped} needed nothing. "
        "No other key is needed any more."
    )
    content = {"directory": str(settings.data_dir), "rotated": done.rotated, "skipped": done.skipped}
    said(content, sentence).put(json=json)
