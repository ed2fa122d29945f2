"""The unmodified client, in its own environment, doing what it is told line by line on its standard input.

Each line is {"project": …, "call": "batch.datasets.create", "arguments": […], "named": {…}, "key": …}; each answer one
line of JSON: {"value": …} as the client decoded it, or {"error": class, "message": …, "detail": …} as it raised it. The
client draws progress bars on the standard output, so the answers go to a descriptor of their own.

python driver.py URL KEY DESCRIPTOR
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import msgspec
from datature.nexus import Client


def upload(project: Any, groups: list[str], files: dict[str, str], *, background: bool) -> Any:
    """An upload session, as its documentation shows it."""
    session = project.assets.create_upload_session(groups=groups, background=background, show_progress=False)
    with session:
        for path in files.values():
            session.add_path(path)
    return session.get_operation_ids()


def cancelled(project: Any, path: str) -> Any:
    """A session that somebody interrupts before its files are sent."""
    session = project.assets.create_upload_session(groups=["main"], show_progress=False)
    session.add_path(path)
    made = session.requester.POST(
        f"/projects/{session.project_id}/assetuploadsessions",
        request_body={"groups": session.groups, "assets": session.assets},
        response_type=msgspec.Raw,
    )
    found = msgspec.json.decode(made)
    session.upload_session_ids.append(found["id"])
    session._cancel_upload_session()
    return found["opId"]


def configure(name: str, value: Any) -> None:
    """A setting of the client that is read when it is used."""
    from datature.nexus import config

    setattr(config, name, value)


def page(source: str, folder: str) -> list[str]:
    """The examples of the documentation, in a folder that has their files; what they print."""
    said: list[str] = []
    os.chdir(folder)
    exec(compile(source, "datature.md", "exec"), {"print": lambda *what: said.append(" ".join(map(str, what)))})
    return said


OURS = {"upload": upload, "cancelled": cancelled}


def plain(value: Any) -> Any:
    """What is no value of the client's own decoding: a project says what it is, a summary its text."""
    return msgspec.to_builtins(value.get_info()) if hasattr(value, "get_info") else str(value)


def done(client: Client, asked: dict[str, Any]) -> Any:
    arguments, named = asked["arguments"], asked["named"]
    if asked["call"] == "configure":
        return configure(*arguments)
    if asked["call"] == "page":
        return page(*arguments)
    if asked["project"] is None:
        return getattr(client, asked["call"])(*arguments, **named)
    target: Any = client.get_project(asked["project"])
    if asked["call"] in OURS:
        return OURS[asked["call"]](target, *arguments, **named)
    for part in asked["call"].split("."):
        target = getattr(target, part)
    return target(*arguments, **named)


def main(url: str, key: str, descriptor: str) -> None:
    clients = {key: Client(key, endpoint=url)}
    with os.fdopen(int(descriptor), "w") as answers:
        for line in sys.stdin:
            try:
                asked = json.loads(line)
                shown = asked["key"] or key
                client = clients.setdefault(shown, Client(shown, endpoint=url))
                answer: dict[str, Any] = {"value": msgspec.to_builtins(done(client, asked), enc_hook=plain)}
            except Exception as error:
                kind = f"{type(error).__module__}.{type(error).__name__}"
                answer = {"error": kind, "message": str(error), "detail": getattr(error, "detail", None)}
            answers.write(json.dumps(answer, default=str) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
