"""`entrepot import …`: what servers of another kind hold, brought over into this one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from entrepot.cli import bars, output
from entrepot.cli.failure import Partial
from entrepot.cli.options import AsJson, connected, secret
from entrepot.model.errors import Invalid

if TYPE_CHECKING:
    from entrepot.client.ufdl.report import Imported

app = typer.Typer(
    name="import", help="Bring over what another kind of server holds.", rich_markup_mode=None, add_completion=False
)


@app.callback()
def _group() -> None:
    """Bring over what another kind of server holds."""


@app.command()
def ufdl(
    url: Annotated[str, typer.Option(help="The server of UFDL to read from.")],
    username: Annotated[str, typer.Option(help="Who one is there; an administrator sees everything.")],
    password_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="The variable that holds the password; asked for otherwise.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, its first line.")
    ] = False,
    project: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this project; may be given again.")
    ] = None,
    trashed: Annotated[
        bool, typer.Option("--trashed", help="What lies in the trash there too, into the trash here.")
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=16, help="Files at a time.")] = 4,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would happen, and do nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring over teams, projects and datasets of a UFDL server, all versions with their files and metadata.

    Reads over its public API and changes nothing there. Interrupted? Run it again: it goes on where it stopped, and
    brings nothing twice. Run it later, and it brings what is new. Members of teams are found by their names; whoever
    has no account here is listed. Exit code 6 says that something could not be brought; the report says what.

    \b
    Examples:
      entrepot import ufdl --url https://ufdl.example.org --username admin --dry-run
      entrepot import ufdl --url https://ufdl.example.org --username admin --project birds --trashed
      pass ufdl | entrepot import ufdl --url https://ufdl.example.org --username admin --password-stdin
    """
    from entrepot.client.ufdl.importing import Options, import_ufdl
    from entrepot.client.ufdl.source import Source

    password = _password(password_env, password_stdin)
    options = Options(projects=tuple(project or ()), trashed=trashed, dry_run=dry_run, parallel=parallel)
    with (
        connected() as client,
        Source(url, username, password) as source,
        bars.shown(as_json) as on_progress,
    ):
        done = import_ufdl(client, source, options, on_progress=on_progress)
    if as_json:
        output.emit(done.plain())
    else:
        _say(done)
    if not done.complete:
        raise Partial


def _password(variable: str | None, stdin: bool) -> str:
    if variable is not None and stdin:
        raise Invalid("Name one place for the password: --password-env or --password-stdin.")
    if variable is not None:
        return secret(variable)
    if stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise Invalid("There is no password on standard input.")
        return password
    asked: str = typer.prompt("Password", hide_input=True, err=True)
    return asked


def _say(done: Imported) -> None:
    would = "would be " if done.dry_run else ""
    for name, one in (
        ("teams", done.teams),
        ("members", done.members),
        ("licences", done.licences),
        ("projects", done.projects),
        ("versions", done.versions),
    ):
        words = [f"{one.made:,} {would}made"] if one.made else []
        words += [f"{one.changed:,} {would}changed"] if one.changed else []
        words += [f"{one.there:,} as they should be"] if one.there else []
        if words:
            output.line(f"{name:<9} {', '.join(words)}")
    sent = f"{done.sent_files:,} of them {would}sent"
    output.line(f"{'files':<9} {done.files:,}, {sent}" + (f", {output.size(done.sent_bytes)}" * (not done.dry_run)))
    if done.skipped_trashed:
        output.note(f"{done.skipped_trashed:,} versions lie in the trash there; --trashed brings them too.")
    for user in done.missing_users:
        output.note(f"{user['user']} has no account here: would be in team {user['team']} with role {user['role']}.")
    for label in done.kept:
        output.note(f"{label} was edited here since it was imported, and was left as it is.")
    for trouble in done.troubles:
        output.note(f"not brought: {trouble.what}: {trouble.reason}")
