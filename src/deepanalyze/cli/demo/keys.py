"""The demo's admin key: made once and kept, because the demo prints it at every start."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from deepanalyze.errors import StartupError


def admin_key(home: Path) -> str:
    path = home / "admin-api-key"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            if known := path.read_text().strip():
                return known
            descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        with os.fdopen(descriptor, "w") as file:
            key = f"sk-da-{secrets.token_urlsafe(32)}"
            file.write(key + "\n")
    except FileExistsError:
        raise StartupError(f"{home} is not a directory; choose another with --data-dir") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartupError(
            f"cannot write {path}: {reason}; choose another directory with --data-dir"
        ) from None
    return key
