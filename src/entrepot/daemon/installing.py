"""The daemon as a service of the user's own systemd: started at login, started again when it dies."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from entrepot.daemon.starting import program
from entrepot.model.errors import Invalid

__all__ = ["UNIT", "install", "unit", "unit_place"]

UNIT = "entrepot-daemon.service"


def unit_place() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME")
    base = Path(config) if config and Path(config).is_absolute() else Path.home() / ".config"
    return base / "systemd" / "user" / UNIT


def unit(socket: Path, limit_rate: str | None = None) -> str:
    """The text of the unit. It runs as long as the user's systemd does, so it never ends for being idle."""
    words = [*program(None), "daemon", "run", "--socket", str(socket), "--idle", "0"]
    if limit_rate is not None:
        words += ["--limit-rate", limit_rate]
    return f"""[Unit]
Description=Entrepot transfer daemon
StartLimitIntervalSec=0

[Service]
Type=exec
{_surroundings()}ExecStart={" ".join(_quoted(word) for word in words)}
Restart=on-failure
RestartSec=5
# Accepted transfers are in the journal: whatever ends the process, the next one goes on.
TimeoutStopSec=10
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def _surroundings() -> str:
    """Where the login and the journal are, if it is not where they usually are: systemd knows nothing of a shell's."""
    named = [(name, os.environ.get(name)) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME")]
    lines = [f"{name}={value}" for name, value in named if value and Path(value).is_absolute()]
    return "".join(f"Environment={_quoted(line, dollar='$')}\n" for line in lines)


def _quoted(word: str, dollar: str = "$$") -> str:
    """As systemd reads a line: `%` means something to it, in a command `$` too, and so do spaces and quotes."""
    if "\n" in word:
        raise Invalid(f"{word!r} has a line break, which a unit cannot hold.")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", dollar)
    return f'"{escaped}"' if escaped != word or " " in word or "'" in word else word


def install(text: str) -> dict[str, Any]:
    """Write the unit and have systemd run it; says whether that worked, and if not why."""
    place = unit_place()
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(place)
    done: dict[str, Any] = {"file": str(place), "enabled": False, "reason": None}
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return {**done, "reason": "there is no systemctl here"}
    for words in (["daemon-reload"], ["enable", "--now", UNIT]):
        try:
            ran = subprocess.run([systemctl, "--user", *words], capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return {**done, "reason": str(error)}
        if ran.returncode:
            return {**done, "reason": (ran.stderr.strip().splitlines() or [f"status {ran.returncode}"])[0]}
    return {**done, "enabled": True}
