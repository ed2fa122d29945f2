"""Both clients of Benchling in processes of their own, one server for them, and a proxy before it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.support.proxies import LosingProxy
from tests.support.server import Server

ROOT = Path(__file__).resolve().parents[3]
DRIVER = Path(__file__).with_name("driver.py")
OLD, CURRENT = "benchling", "benchling-current"

OLD_FRAMES = "v2.beta.datasets"
FRAMES, DATASETS = "v2.stable.data_frames", "v2.stable.datasets"


def python_of(name: str) -> Path:
    return ROOT / ".env-clients" / name / "bin" / "python"


class Raised(Exception):
    """What the client raised, by the name of its class."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer['error']}: {answer['message']}")
        self.kind: str = answer["error"]
        self.status: int | None = answer["status"]
        self.body: Any = answer["body"]
        self.parsed: bool = answer["parsed"]
        self.message: str = answer["message"]


@dataclass
class Client:
    """A client in its process; `shown` is what it authenticates by."""

    process: subprocess.Popen[str]
    answers: Any
    shown: dict[str, str]

    def __call__(self, call: str, *arguments: Any, wait: bool = False, **named: Any) -> Any:
        """A method of the client by its path; what it answers, in the wire's names."""
        asked = {"call": call, "arguments": arguments, "named": named, "as": self.shown, "wait": wait}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.answers.readline()
        assert line, "the client's process ended"
        answer = json.loads(line)
        if "error" in answer:
            raise Raised(answer)
        return answer["value"]

    def waited(self, task: str) -> dict[str, Any]:
        """A task that ended; as long as a loaded machine takes."""
        found: dict[str, Any] = self("tasks.wait_for_task", task, interval_wait_seconds=0.2, max_wait_seconds=120)
        return found


@contextlib.contextmanager
def driven(name: str, url: str, shown: dict[str, str]) -> Iterator[Client]:
    reading, writing = os.pipe()
    around = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [str(python_of(name)), str(DRIVER), url, str(writing)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(writing,),
        text=True,
        env={**around, "PYTHONPATH": "", "NO_PROXY": "127.0.0.1"},
    )
    os.close(writing)
    said: list[str] = []
    listening = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    listening.start()
    try:
        with os.fdopen(reading) as answers:
            yield Client(process, answers, shown)
    finally:
        assert process.stdin is not None
        assert process.stderr is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(60)
        listening.join(5)
        process.stderr.close()


@dataclass
class Place:
    """A server, a key of it with its id, a project and a proxy."""

    server: Server
    key: str
    key_id: str
    proxy: LosingProxy
    project: str = ""
    _names: int = field(default=0)

    def native(self, method: str, path: str, **what: Any) -> Any:
        """What these clients have no word for, by the product's own API."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx2.request(method, f"{self.server.url}/api/v1{path}", headers=headers, timeout=60, **what)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def new_project(self) -> str:
        self.project = self.native("POST", "/projects", json={"name": f"project {time.monotonic_ns()}"})["id"]
        return self.project


def sent(data: bytes) -> dict[str, str]:
    return {"bytes": base64.b64encode(data).decode()}


def got(value: dict[str, str]) -> bytes:
    return base64.b64decode(value["bytes"])


def frame_create(name: str, *files: str, **more: Any) -> dict[str, Any]:
    """The model of a creation."""
    wire = {"name": name, "manifest": [{"fileName": one} for one in files], **more}
    return {"DatasetCreate": wire}


STARTED = {"DatasetUpdate": {"uploadStatus": "IN_PROGRESS"}}
