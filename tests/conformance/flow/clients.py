"""The unmodified client `flowbio` 0.14.1 in an environment of its own: its Python interface and its commands.

The interface lives in one process for all tests of a module, since importing it takes longer than most of them, and
does what it is told.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".env-clients" / "flow" / "bin" / "python"
DRIVER = Path(__file__).with_name("driver.py")


class Raised(Exception):
    """What the client raised, by the name of its class."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer['error']}: {answer['message']}")
        self.kind: str = answer["error"]
        self.kinds: list[str] = answer["kinds"]
        self.message: Any = answer["message"]
        self.status: int | None = answer["status"]
        self.details: Any = answer["details"]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command of the client ended with."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Client:
    """The client in its process."""

    process: subprocess.Popen[str]
    url: str
    login: dict[str, str] | None
    config: dict[str, Any] = field(default_factory=dict)

    def __call__(self, call: str, *arguments: Any, **named: Any) -> Any:
        asked = {"url": self.url, "login": self.login, "config": self.config}
        asked |= {"call": call, "arguments": arguments, "named": named}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked, default=lambda path: f"file:{path}") + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client's process ended"
        answer = json.loads(line)
        if "error" in answer:
            raise Raised(answer)
        return answer["value"]

    def but(self, **config: Any) -> Client:
        """The same process with another configuration."""
        login = config.pop("login", self.login)
        url = config.pop("url", self.url)
        return Client(self.process, url, login, {**self.config, **config})

    def command(self, *arguments: str, given: str = "") -> Ended:
        """One command of its command line.

        Args:
            given: What stands in its standard input.
        """
        return Ended(**self("command", *arguments, given=given))

    def get(self, path: str, **parameters: str) -> Any:
        return json.loads(self("get_raw", path, list(parameters.items()) or None))


def around() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONPATH": "", "NO_PROXY": "127.0.0.1", "FLOW_TOKEN_FILE": "/nonexistent"}


@contextlib.contextmanager
def driven(url: str, login: dict[str, str]) -> Iterator[Client]:
    process = subprocess.Popen(
        [str(PYTHON), str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=around()
    )
    try:
        yield Client(process, url, login)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def file(folder: Path, content: bytes, name: str = "counts.tsv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def require_client() -> None:
    """Skip where it is not installed."""
    if not PYTHON.exists():
        pytest.skip("the environment of the Flow client is missing: scripts/client-env flow")


def flowbio(url: str, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command as a process of its own, which takes two seconds to begin."""
    return subprocess.run(
        [str(PYTHON), "-m", "flowbio.cli", "--base-url", f"{url}/flow/api", *arguments],
        capture_output=True,
        text=True,
        env={**around(), "FLOW_API_TOKEN": token},
        stdin=subprocess.DEVNULL,
    )
