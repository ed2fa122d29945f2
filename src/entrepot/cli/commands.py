"""The table of commands, and what every one of them shares.

A command's module is imported when that command is asked for and not before: `entrepot --help` reads this table alone.
"""

from __future__ import annotations

import copy
import importlib
import os
from typing import Any

import typer
from typer.core import TyperGroup

from entrepot._version import __version__

__all__ = ["COMMANDS", "command", "root"]

#: Section, then command: (module, what it does). The order is that of `entrepot --help`.
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Move data": {
        "push": ("transfer", "Make a dataset hold what a folder holds; only what is new is sent"),
        "pull": ("transfer", "Make a folder hold what a dataset holds, verified"),
        "archive": ("transfer", "Fetch a dataset as one zip or tar file"),
        "cat": ("files", "Write a file to standard output"),
        "import": ("imports", "Bring over what another kind of server holds"),
    },
    "Look around": {
        "ls": ("files", "List projects, datasets or files"),
        "show": ("show", "Show a thing, by any of its names or ids"),
        "search": ("show", "Find datasets by words"),
        "check": ("types", "Say which files of a dataset are not what they should be"),
        "type": ("types", "Data types: list, show, set"),
        "versions": ("show", "List the versions of a dataset and their revisions"),
        "diff": ("history", "Show what changed between two revisions"),
        "log": ("history", "Show who changed what, and when"),
        "audit": ("history", "Write out everything that happened since a moment"),
        "resolve": ("show", "Say what an id or reference means, and its ids at every door"),
    },
    "Change": {
        "rm": ("files", "Remove files from a dataset"),
        "mv": ("files", "Rename files, or a dataset"),
        "cp": ("files", "Copy files or a dataset; no bytes travel"),
        "restore": ("history", "Make an old revision the newest"),
        "set": ("record", "Edit a version's record: description, tags, licence, visibility …"),
        "tag": ("record", "Add and remove tags"),
        "freeze": ("record", "Let a version take no more content"),
        "unfreeze": ("record", "Let it take content again"),
        "accept": ("record", "Accept a reader's proposal"),
        "merge": ("record", "Add the files of one version to another"),
        "trash": ("record", "Put a version into the trash"),
        "reinstate": ("record", "Take a version out of the trash"),
        "purge": ("record", "Remove a version for good"),
        "table": ("table", "Typed tables: create, look, query, compare, export"),
        "records": ("records", "Files of lines, each a JSON object: check, read, search"),
        "link": ("link", "Say what came from what, and follow it"),
        "note": ("note", "Tell whoever depends on a version what they should know"),
    },
    "People and places": {
        "project": ("project", "Projects and their collections"),
        "team": ("team", "Teams and who is in them"),
        "user": ("user", "Accounts"),
        "token": ("token", "API tokens"),
        "licence": ("licence", "Licences"),
        "node": ("node", "Worker nodes"),
        "task": ("task", "Long work: list, wait, cancel"),
        "webhook": ("webhook", "Have a project's events sent somewhere"),
        "batch": ("batch", "Send every item of a version to a webhook"),
    },
    "Local transfers": {
        "daemon": ("daemon", "Transfers that survive everything: run and watch the local daemon"),
    },
    "Credentials": {
        "login": ("auth", "Store a token for a server"),
        "logout": ("auth", "Forget it, and end it at the server"),
        "whoami": ("auth", "Show who one is"),
        "auth": ("auth", "login, logout and status, as a group"),
    },
    "Server": {
        "serve": ("serve", "Run a server"),
        "worker": ("worker", "Do background work beside a server"),
        "verify": ("verify", "Read all stored bytes and compare them; mend what is damaged"),
        "doctor": ("doctor", "Say what is wrong with a data folder, and how to mend it"),
        "backup": ("backup", "Copy everything to another folder while the server runs"),
        "restore-backup": ("backup", "Put a backup back into an empty folder"),
        "gc": ("gc", "Give back the bytes that nothing refers to"),
        "demo": ("demo", "Start a server with real data in it, and show what one can do"),
    },
}

_MODULES = {name: module for section in COMMANDS.values() for name, (module, _) in section.items()}
#: What other tools call commands of groups: these work too and are not listed.
_ALSO = {"ls": "list", "passwd": "password", "disable": "deactivate", "enable": "reactivate"}
_HELP = """A home for data files, tables and records: versions, teams, provenance, restartable transfer.

\b
  entrepot login https://data.example.org
  entrepot push ./penguins lab/penguins -m "2009 season"
  entrepot pull lab/penguins@3.17 ./penguins

A reference is project/dataset[@version[.revision]][/path]. Any door's id will do in its place.
"""
_EPILOG = (
    "Every command takes --json and then prints one JSON value on standard output. "
    "`entrepot COMMAND --help` has examples."
)


class LazyGroup(TyperGroup):
    """The root: knows its commands by name and loads one when it is asked for."""

    def list_commands(self, _: Any) -> list[str]:
        return list(_MODULES)

    def get_command(self, _: Any, name: str) -> Any:
        return command(name)

    def format_commands(self, _: Any, formatter: Any) -> None:
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


def command(name: str) -> Any:
    """A command by its name; None for a name that is none."""
    module = _MODULES.get(name)
    if module is None:
        return None
    app = importlib.import_module(f"entrepot.cli.{module}").app
    found = typer.main.get_command(app)
    commands = getattr(found, "commands", None)
    if commands is not None:
        for also, ours in _ALSO.items():
            if ours in commands and also not in commands:
                commands[also] = copy.copy(commands[ours])
                commands[also].hidden = True
    # A module with several commands of the root has them side by side; one that is a group has its own name.
    chosen = found if commands is None or name == found.name else commands.get(name, found)
    chosen.name = name
    return chosen


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"entrepot {__version__}")
        raise typer.Exit


def root() -> LazyGroup:
    app = typer.Typer(cls=LazyGroup, name="entrepot", add_completion=False, rich_markup_mode=None, no_args_is_help=True)

    @app.callback(help=_HELP, epilog=_EPILOG)
    def _root(
        debug: bool = typer.Option(
            False, "--debug", envvar="ENTREPOT_DEBUG", help="Show where an error came from, and what is sent."
        ),
        _version: bool = typer.Option(
            False, "--version", is_eager=True, callback=_show_version, help="Show the version and end."
        ),
    ) -> None:
        if debug:
            os.environ["ENTREPOT_DEBUG"] = "1"

    found = typer.main.get_command(app)
    assert isinstance(found, LazyGroup)
    return found
