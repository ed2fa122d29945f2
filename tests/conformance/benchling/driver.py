"""An unmodified client, old or current, in its own environment, doing what it is told line by line on its input.

Each line is {"call": "v2.beta.datasets.create_from_bytes", "arguments": […], "named": {…}, "as": …}; each answer one
line of JSON: {"value": …} as the client decoded it, in the wire's names, or {"error": class, "status": …, "body": …,
"message": …} as it raised it. Arguments that JSON has no word for are objects with one key: {"bytes": base64},
{"stream": base64}, {"path": text}, {"DatasetCreate": {…}} for a model by its class. "as" is what it authenticates by,
and may name another server by "url".

python driver.py URL DESCRIPTOR
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

from benchling_sdk.auth.api_key_auth import ApiKeyAuth  # noqa: E402
from benchling_sdk.auth.bearer_token_auth import BearerTokenAuth  # noqa: E402
from benchling_sdk.auth.client_credentials_oauth2 import ClientCredentialsOAuth2  # noqa: E402
from benchling_sdk.benchling import Benchling  # noqa: E402

#: Where models are looked for: the old client has its datasets in one place, the current one in the other.
PLACES = ("benchling_api_client.v2.stable.models", "benchling_api_client.v2.beta.models")


def model(name: str, wire: Any) -> Any:
    """A model by the name of its class, made of what stands on the wire."""
    module = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
    old = not any(one.name == "data_frame_create" for one in pkgutil.iter_modules(stable()))
    for place in reversed(PLACES) if old else PLACES:
        try:
            found = getattr(importlib.import_module(f"{place}.{module}"), name)
        except ModuleNotFoundError:
            continue
        return found(wire) if isinstance(wire, str) else found.from_dict(wire)
    raise LookupError(name)


def stable() -> Any:
    return importlib.import_module(PLACES[0]).__path__


def given(value: Any) -> Any:
    """An argument as the client takes it."""
    if isinstance(value, list):
        return [given(one) for one in value]
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind == "bytes":
        return base64.b64decode(inner)
    if kind == "stream":
        return io.BytesIO(base64.b64decode(inner))
    if kind == "path":
        return Path(inner)
    return model(kind, inner) if kind[0].isupper() else value


def plain(value: Any) -> Any:
    """What came back, as JSON."""
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, io.BytesIO):
        return {"bytes": base64.b64encode(value.getvalue()).decode()}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, Iterator) or type(value).__name__ == "PageIterator":
        return [plain(page) for page in value]
    if hasattr(value, "wait_for_response"):
        return {"taskId": value.task_id}
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def authentication(said: dict[str, Any]) -> Any:
    if "bearer" in said:
        return BearerTokenAuth.from_token(said["bearer"])
    if "client" in said:
        return ClientCredentialsOAuth2(said["client"], said["secret"])
    return ApiKeyAuth(said["key"])


def page(source: str, folder: str) -> list[str]:
    """Examples of the documentation, in a folder that has their files; what they print."""
    said: list[str] = []
    os.chdir(folder)
    exec(compile(source, "benchling.md", "exec"), {"print": lambda *what: said.append(" ".join(map(str, what)))})
    return said


def done(client: Benchling, asked: dict[str, Any]) -> Any:
    if asked["call"] == "page":
        return page(*asked["arguments"])
    target: Any = client
    for part in asked["call"].split("."):
        target = getattr(target, part)
    found = target(*map(given, asked["arguments"]), **{name: given(one) for name, one in asked["named"].items()})
    if asked.get("wait"):
        # What the current client calls a task helper.
        return plain(found.wait_for_response())
    return plain(found)


def main(url: str, descriptor: str) -> None:
    clients: dict[str, Benchling] = {}
    with os.fdopen(int(descriptor), "w") as answers:
        for line in sys.stdin:
            try:
                asked = json.loads(line)
                shown = json.dumps(asked["as"])
                if shown not in clients:
                    there = asked["as"].get("url", url)
                    clients[shown] = Benchling(url=there, auth_method=authentication(asked["as"]))
                answer: dict[str, Any] = {"value": done(clients[shown], asked)}
            except Exception as error:
                answer = {
                    "error": type(error).__name__,
                    "status": getattr(error, "status_code", None),
                    "body": getattr(error, "json", None),
                    "parsed": getattr(error, "parsed", None) is not None,
                    "message": str(error),
                }
            answers.write(json.dumps(answer, default=str) + "\n")
            answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
