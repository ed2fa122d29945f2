"""Who one is at which server: `credentials.json` in the user's configuration folder, readable by its owner only.

    {"version": 1,
     "default": "https://data.example.org",
     "servers": {"https://data.example.org": {"token": "…", "token_id": "tok_…", "user": "ada"}}}

The variables ENTREPOT_URL and ENTREPOT_TOKEN win over the file. A token is stored for the very address it was made
at and is never sent to another one.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from entrepot.client.places import config_folder
from entrepot.model.errors import Corrupt, Invalid, Unauthenticated

__all__ = ["Credential", "Credentials", "normal_url", "resolve"]

URL_VARIABLE = "ENTREPOT_URL"
TOKEN_VARIABLE = "ENTREPOT_TOKEN"  # noqa: S105  the variable's name


@dataclass(frozen=True, slots=True)
class Credential:
    """A stored token. `repr` does not show it: values end up in logs."""

    url: str
    token: str
    token_id: str | None = None
    user: str | None = None

    def __repr__(self) -> str:
        return f"Credential(url={self.url!r}, user={self.user!r})"


def normal_url(text: str) -> str:
    """The address of a server in the one form it is stored and compared in: no slash at its end, no default port.

    Raises:
        Invalid: It is not an http or https address of a host.
    """
    cleaned = text.strip()
    parts = urlsplit(cleaned if "://" in cleaned else f"http://{cleaned}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise Invalid(f"{text!r} is no address of a server. Write it as in http://127.0.0.1:8080.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Invalid("The address of a server has no user, password, query or fragment. Give the token on its own.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host = f"{host}:{port}"
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


class Credentials:
    """The stored credentials. Each change is read, made and written anew, so two logins at once lose at most one."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_folder() / "credentials.json"

    def default(self) -> str | None:
        """The server that is meant when none is named: the one logged in to last."""
        found = self._read().get("default")
        return found if isinstance(found, str) else None

    def get(self, url: str) -> Credential | None:
        stored = self._read().get("servers", {}).get(url)
        if not isinstance(stored, dict) or not isinstance(stored.get("token"), str):
            return None
        return Credential(url, stored["token"], stored.get("token_id"), stored.get("user"))

    def all(self) -> list[Credential]:
        return [found for url in self._read().get("servers", {}) if (found := self.get(url)) is not None]

    def store(self, credential: Credential) -> None:
        """Keep it, and make its server the default."""
        content = self._read()
        servers = content.setdefault("servers", {})
        servers[credential.url] = {
            "token": credential.token,
            "token_id": credential.token_id,
            "user": credential.user,
        }
        content["default"] = credential.url
        self._write(content)

    def forget(self, url: str) -> bool:
        """Whether there was anything to forget."""
        content = self._read()
        gone = content.get("servers", {}).pop(url, None)
        if content.get("default") == url:
            content["default"] = next(iter(content.get("servers", {})), None)
        if gone is not None:
            self._write(content)
        return gone is not None

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"version": 1, "servers": {}}
        except (OSError, ValueError) as error:
            raise Corrupt(f"{str(self.path)!r} cannot be read: {error}. Remove it and log in again.") from error
        if not isinstance(content, dict) or not isinstance(content.get("servers", {}), dict):
            raise Corrupt(f"{str(self.path)!r} is damaged. Remove it and log in again.")
        return content

    def _write(self, content: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes the file 0600 from its first moment; chmod after writing would leave a gap.
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".credentials-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.write("\n")
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


def resolve(url: str | None, token: str | None, stored: Credentials | None = None) -> tuple[str, str | None]:
    """Which server, and with which token: what was given, else the environment, else the file.

    Raises:
        Unauthenticated: No server is known at all.
    """
    stored = stored or Credentials()
    address = url or os.environ.get(URL_VARIABLE) or stored.default()
    if not address:
        raise Unauthenticated(
            f"No server is named. Run `entrepot login URL`, or set {URL_VARIABLE} and {TOKEN_VARIABLE}."
        )
    normal = normal_url(address)
    if token is None:
        token = os.environ.get(TOKEN_VARIABLE) or None
    if token is None and (credential := stored.get(normal)) is not None:
        token = credential.token
    return normal, token
