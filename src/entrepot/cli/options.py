"""Options and arguments that many commands share, and the client they all speak through."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.client.client import Client

__all__ = ["AsJson", "Reference", "Yes", "confirm", "connected", "secret"]

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Message: TypeAlias = Annotated[str, typer.Option("--message", "-m", help="What the revision is about.")]
Reference: TypeAlias = Annotated[
    str, typer.Argument(metavar="THING", help="project/dataset[@version[.revision]], or any id of it.")
]


@contextmanager
def connected(url: str | None = None, token: str | None = None, *, direct: bool = False) -> Iterator[Client]:
    """A client for the server and token of the environment, else of the last login."""
    import stamina.instrumentation

    from entrepot.client.client import Client

    # By itself it would log every retry, and with some packages around to standard output.
    stamina.instrumentation.set_on_retry_hooks([])
    with Client(url, token, direct=direct) as client:
        yield client


def confirm(question: str, yes: bool) -> None:
    """Ask a person; refuse to guess where there is none.

    Raises:
        Invalid: Nobody can be asked.
        Abort: The answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid(f"{question} There is nobody to ask here: give --yes if that is meant.")
    typer.confirm(question, abort=True, err=True)


def secret(variable: str) -> str:
    """What an environment variable holds; secrets are never taken from the command line, which others can see.

    Raises:
        Invalid: It is not set.
    """
    value = os.environ.get(variable)
    if not value:
        raise Invalid(f"The environment variable {variable} is not set. Put the secret there and name it again.")
    return value
