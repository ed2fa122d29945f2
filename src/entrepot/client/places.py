"""Where the client keeps its own files: the usual folders of each system, `XDG_*` where they are set.

config   credentials.json     who one is at which server (0600)
cache    stat.sqlite3         digests of local files
         contents/            contents by digest, bounded
state    uploads.sqlite3      transfers that were begun and not committed yet
         pulls.sqlite3        what a pull put where, so that the next one knows a local edit when it sees one
         imports/             large files on their way from another server to this one
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "config_folder", "state_folder"]


def config_folder() -> Path:
    return _folder("XDG_CONFIG_HOME", "user_config_path")


def cache_folder() -> Path:
    return _folder("XDG_CACHE_HOME", "user_cache_path")


def state_folder() -> Path:
    return _folder("XDG_STATE_HOME", "user_state_path")


def _folder(variable: str, fallback: str) -> Path:
    # platformdirs heeds the XDG variables on Linux only; who sets one on another system means it.
    named = os.environ.get(variable)
    if named and Path(named).is_absolute():
        return Path(named) / "entrepot"
    import platformdirs

    found: Path = getattr(platformdirs, fallback)("entrepot", appauthor=False)
    return found
