"""Lines to copy: the same version through every door, in the words and with the ids of each.

What is pasted into a shell or a program is quoted for it, because names of files are other people's text.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote

from entrepot.model import ids
from entrepot.model.ids import Noun
from entrepot.model.values import Entry, Kind, Version

__all__ = ["Group", "Snippet", "citation", "groups", "ids_of", "of_file", "reference"]


@dataclass(frozen=True, slots=True)
class Snippet:
    """Something to copy, and what it does."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """What one kind of client needs."""

    name: str
    note: str
    snippets: tuple[Snippet, ...]


def reference(version: Version, *, pinned: bool = False) -> str:
    """`project/dataset@3`, with the revision if it is to mean the same bytes for ever; the id if there is no number."""
    if version.number is None or version.trash is not None:
        return ids.encode(Noun.VERSION, version.uid)
    number = f"{version.number}.{version.revision}" if pinned else str(version.number)
    return f"{version.project_slug}/{version.slug}@{number}"


def citation(version: Version, base_url: str) -> str:
    """How to name exactly these bytes in a text."""
    who = version.creator_name or version.project_slug
    when = (version.ready_at or version.created_at).year
    number = f", version {version.number}, revision {version.revision}" if version.number is not None else ""
    licence = f" {version.licence_name}." if version.licence_name else ""
    address = f"{base_url}/ui/versions/{ids.encode(Noun.VERSION, version.uid)}"
    return f"{who} ({when}). {version.name}{number}.{licence} {address}"


def ids_of(version: Version) -> list[tuple[str, str]]:
    """Every id of a version with the name of who uses it."""
    found = ids.all_ids(version.n, version.uid, revision=version.revision)
    names = {
        "native": "Entrepot",
        "revision": "Entrepot, this revision",
        "benchling": "Benchling, data frame",
        "benchling_dataset": "Benchling, dataset",
        "datature": "Datature",
        "flow": "Flow",
        "ufdl": "UFDL",
    }
    return [(said, found[name]) for name, said in names.items() if name in found]


def groups(version: Version, first: Entry | None, base_url: str, doors: Collection[str]) -> list[Group]:
    """All that is open here.

    Args:
        first: An entry to take as the example.
    """
    path = first.path if first is not None else "FILE"
    made = [_command_line(version, path), _python(version, path, base_url)]
    if "native" in doors:
        made.append(_curl(version, path, base_url))
    if "benchling" in doors and version.kind is Kind.TABLE:
        made.append(_benchling(version, base_url))
    if "flow" in doors:
        made.append(_flow(version, first, base_url))
    if "datature" in doors and version.kind is Kind.RECORDS:
        made.append(_datature(version, base_url))
    if "ufdl" in doors:
        made.append(_ufdl(version, path, base_url))
    return made


def _command_line(version: Version, path: str) -> Group:
    named, pinned = reference(version), reference(version, pinned=True)
    file = shlex.quote(f"{named}/{path}")
    what = [
        Snippet("Get all files, and check every byte", f"entrepot pull {named} ./{version.slug}"),
        Snippet("Get what is here now, whatever comes later", f"entrepot pull {pinned} ./{version.slug} --lock"),
        Snippet("Get one file", f"entrepot pull {file} ."),
    ]
    if version.kind is Kind.FILES:
        what.append(
            Snippet("Make it hold what a folder holds", f"entrepot push ./{version.slug} {named.partition('@')[0]}")
        )
    return Group("Command line", "`entrepot login` once stores who you are.", tuple(what))


def _python(version: Version, path: str, base_url: str) -> Group:
    named, pinned = reference(version), reference(version, pinned=True)
    start = f"import entrepot\n\nwith entrepot.Client({base_url!r}, token) as client:\n"
    what = [Snippet("Get all files", f"{start}    client.data.download({named!r}, './{version.slug}')")]
    if version.kind is Kind.TABLE:
        what.append(Snippet("As a frame", f"{start}    frame = client.tables.to_pandas({named!r})"))
    elif version.kind is Kind.RECORDS:
        what.append(
            Snippet("Item after item", f"{start}    for item in client.records.items({named!r}):\n        print(item)")
        )
    address = f"entrepot://{pinned}/{path}"
    if path.lower().endswith((".csv", ".tsv", ".tab", ".csv.gz")) and not address.startswith("entrepot://ver_"):
        more = ", sep='\\t'" if path.lower().endswith((".tsv", ".tab")) else ""
        what.append(Snippet("Open it with pandas", f"import pandas\n\nframe = pandas.read_csv({address!r}{more})"))
    what.append(Snippet("Open any file", f"import fsspec\n\nwith fsspec.open({address!r}) as file:\n    ..."))
    return Group("Python", "`pip install 'entrepot[fsspec]'`. The token is one of yours.", tuple(what))


def _curl(version: Version, path: str, base_url: str) -> Group:
    who = '-H "Authorization: Bearer $ENTREPOT_TOKEN"'
    one = ids.encode(Noun.VERSION, version.uid)
    api = f"{base_url}/api/v1/versions/{one}"
    return Group(
        "curl, and any other program",
        "The API is described at `/api/v1/openapi.json`.",
        (
            Snippet("The record", f"curl -s {who} {api}"),
            Snippet(
                "One file; repeat it to go on", f"curl -C - {_save(path)} {who} {_shell(f'{api}/files/{quote(path)}')}"
            ),
            Snippet("All files as one archive", f"curl -OJ {who} '{api}/archive?format=zip'"),
        ),
    )


def _benchling(version: Version, base_url: str) -> Group:
    one = ids.benchling_frame(version.uid)
    return Group(
        "Benchling",
        f"Here this is the data frame {one}.",
        (
            Snippet(
                "Connect, with a token as the API key",
                "from benchling_sdk.auth.api_key_auth import ApiKeyAuth\n"
                "from benchling_sdk.benchling import Benchling\n\n"
                f"benchling = Benchling(url={base_url!r}, auth_method=ApiKeyAuth(token))",
            ),
            Snippet(
                "Its files, as bytes",
                f"files = benchling.v2.stable.data_frames.download_data_frame_bytes_by_id({one!r})",
            ),
            Snippet(
                "Look it up",
                f'curl -s -H "Authorization: Bearer $ENTREPOT_TOKEN" {base_url}/api/v2-beta/datasets/{one}',
            ),
        ),
    )


def _flow(version: Version, first: Entry | None, base_url: str) -> Group:
    number = ids.flow_data(version.n)
    # There a version is a file if it has one; of several it is a directory, and each file has an id of its own.
    alone = version.n_entries == 1 and version.unpacked_from is None and "flow.sample" not in version.properties
    thing = number if first is None or alone else ids.flow_entry(version.n, first.position)
    name = quote((first.path if first is not None else "FILE").rpartition("/")[2])
    who = '-H "Authorization: Bearer $ENTREPOT_TOKEN"'
    address = f"{base_url}/flow/api/downloads/{thing}/{name}"
    return Group(
        "Flow",
        f"Here this is data {number}. What its client `flowbio` sends goes to your default project; under a name that "
        "is there already it is the next version.",
        (
            Snippet("Look it up", f"curl -s {who} {base_url}/flow/api/data/{number}"),
            Snippet(
                "Get the file" if alone else "Get a file of it",
                f"curl {_save(first.path if first is not None else 'FILE')} {who} {_shell(address)}",
            ),
            Snippet(
                "Send a file",
                "from pathlib import Path\nfrom flowbio.v2 import Client, TokenCredentials\n\n"
                f"client = Client({f'{base_url}/flow/api'!r})\nclient.log_in(TokenCredentials(token))\n"
                f"client.data.upload_data(Path({version.name!r}))",
            ),
        ),
    )


def _datature(version: Version, base_url: str) -> Group:
    one, home = ids.datature_dataset(version.uid), ids.encode(Noun.PROJECT, version.project_uid)
    return Group(
        "Datature",
        f"Here this is the dataset {one}.",
        (
            Snippet(
                "Look it up",
                f"from datature.nexus import Client\n\nproject = Client(token, endpoint={base_url!r})"
                f".get_project({home!r})\nprint(project.batch.datasets.get({one!r}).status)",
            ),
        ),
    )


def _ufdl(version: Version, path: str, base_url: str) -> Group:
    pk = ids.ufdl_pk(version.n)
    who = '-H "Authorization: Bearer $ENTREPOT_TOKEN"'
    api = f"{base_url}/v1/datasets/{pk}"
    return Group(
        "UFDL",
        f"Here this is the dataset with the primary key {pk}.",
        (
            Snippet("Look it up", f"curl -s {who} {api}"),
            Snippet("All files as one archive", f"curl -o {version.slug}.zip {who} '{api}/download?filetype=zip'"),
            Snippet("One file", f"curl {_save(path)} {who} {_shell(f'{api}/files/{quote(path)}')}"),
        ),
    )


def _save(path: str) -> str:
    """How curl is told the name of the file; by itself it takes that of the address, with everything encoded in it."""
    name = path.rpartition("/")[2]
    return "-O" if quote(name) == name else f"-o {shlex.quote(name)}"


def _shell(address: str) -> str:
    return shlex.quote(address)


def of_file(version: Version, entry: Entry, base_url: str) -> tuple[Snippet, ...]:
    """How to get one file."""
    one = ids.encode(Noun.VERSION, version.uid)
    api = f"{base_url}/api/v1/versions/{one}/files/{quote(entry.path)}?revision={version.revision}"
    pinned = f"{reference(version, pinned=True)}/{entry.path}"
    made = [
        Snippet("Command line", f"entrepot pull {shlex.quote(pinned)} ."),
        Snippet("curl", f'curl -C - {_save(entry.path)} -H "Authorization: Bearer $ENTREPOT_TOKEN" {_shell(api)}'),
    ]
    if entry.path.lower().endswith((".csv", ".tsv", ".csv.gz", ".parquet")) and not pinned.startswith("ver_"):
        reader = "read_parquet" if entry.path.lower().endswith(".parquet") else "read_csv"
        made.append(Snippet("pandas", f"frame = pandas.{reader}({f'entrepot://{pinned}'!r})"))
    return tuple(made)
