"""`deepanalyze sources fetch`: through a thread of its own, which is gone again afterwards."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import quote

from deepanalyze.cli.sources.asking import Asker, of
from deepanalyze.errors import DeepAnalyzeError


async def bring(asker: Asker, name: str, path: str, directory: Path) -> None:
    fetched = await asker.post(of(name, "fetch"), {"path": path})
    thread = f"/v1/threads/{fetched['thread_id']}"
    try:
        targets = {file["file"]: directory / file["file"] for file in fetched["files"]}
        taken = [target for target in targets.values() if target.exists()]
        if taken:
            raise DeepAnalyzeError(f"{taken[0]} exists already; nothing is replaced")
        for file, target in targets.items():
            await _download(asker, f"{thread}/files/{quote(file)}", target)
            print(target)
    finally:
        await asker.delete(thread)


async def _download(asker: Asker, path: str, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            async for chunk in asker.content(path):
                await asyncio.to_thread(file.write, chunk)
        os.link(partial, target)
    except OSError as error:
        raise DeepAnalyzeError(f"cannot write {target}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
