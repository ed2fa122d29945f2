"""The unmodified client, in its own environment, doing what it is told line by line on its standard input.

Each line is {"url": …, "login": {"token": …} or {"username": …, "password": …}, "config": {…}, "call":
"data.upload_data", "arguments": […], "named": {…}}; each answer one line of JSON: {"value": …}, or {"error": class,
"message": …, "status": …, "details": …} as it raised it. The call "command" is its command line with such arguments,
and `given` in its standard input; the value is what a process of it would have ended with. A text `file:…` is a path to
it. Clients are kept by what they were made with, so one that logged in goes on with its tokens.

python driver.py
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from flowbio.cli import main as command_line
from flowbio.v2 import Client, ClientConfig, TokenCredentials
from flowbio.v2.auth import UsernamePasswordCredentials
from flowbio.v2.samples import SampleImportSpec

KNOWN: dict[str, Client] = {}


def client_for(asked: dict[str, Any]) -> Client:
    key = json.dumps([asked["url"], asked["login"], asked["config"]], sort_keys=True)
    if key not in KNOWN:
        given = dict(asked["config"])
        if "request_timeout" in given:
            given["request_timeout"] = timedelta(seconds=given["request_timeout"])
        made = Client(asked["url"], ClientConfig(show_progress=False, **given))
        login = asked["login"]
        if login:
            made.log_in(TokenCredentials(**login) if "token" in login else UsernamePasswordCredentials(**login))
        KNOWN[key] = made
    return KNOWN[key]


def told(value: Any) -> Any:
    """An argument as the client takes it."""
    if isinstance(value, str) and value.startswith("file:"):
        return Path(value.removeprefix("file:"))
    if isinstance(value, dict):
        return {name: told(one) for name, one in value.items()}
    if isinstance(value, list):
        return [told(one) for one in value]
    return value


def plain(value: Any) -> Any:
    """An answer as JSON."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value]


def command(asked: dict[str, Any]) -> dict[str, Any]:
    """One command, as its process would run it, without the seconds that a process takes to import everything."""
    given, out, err = sys.stdin, io.StringIO(), io.StringIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(asked["named"]["given"].encode()))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command_line(["--base-url", asked["url"], "--token", asked["login"]["token"], *asked["arguments"]])
    finally:
        sys.stdin = given
    return {"returncode": code, "stdout": out.getvalue(), "stderr": err.getvalue()}


def do(asked: dict[str, Any]) -> Any:
    if asked["call"] == "command":
        return command(asked)
    client = client_for(asked)
    named = told(asked["named"])
    if asked["call"] == "forget token":
        # As when it ran out: the client has the cookie still.
        client._transport.set_token(named["token"])
        return None
    if asked["call"] == "samples.import_samples":
        return client.samples.import_samples([SampleImportSpec(**one) for one in asked["arguments"][0]])
    found: Any = client
    for name in asked["call"].split("."):
        found = getattr(found, name)
    return found(*told(asked["arguments"]), **named)


def main() -> None:
    for line in sys.stdin:
        try:
            answer = {"value": plain(do(json.loads(line)))}
        except Exception as error:
            answer = {
                "error": type(error).__name__,
                "kinds": [one.__name__ for one in type(error).__mro__],
                "message": getattr(error, "message", str(error)),
                "status": getattr(error, "status_code", None),
                "details": getattr(error, "details", None) or getattr(error, "errors", None),
            }
        print(json.dumps(answer), flush=True)


main()
