"""Every door's ids, as pure encodings of the two numbers that a thing has.

A row that a door can name has an integer `n` and a 128-bit `uid`. Neither is ever given out twice. An id of any
dialect is one of them in other clothes, so there is no table of foreign ids, and an id that one door printed can be
shown as the id of every other.

| Door                     | Thing               | Form                        | From             |
|--------------------------|---------------------|-----------------------------|------------------|
| native, daemon           | see `PREFIXES`      | `ver_<32 hex>`              | uid              |
| native, daemon           | revision            | `rev_<32 hex>_<number>`     | uid of version   |
| Benchling                | frame, old dataset  | `dset_<32 hex>`             | uid of version   |
| Benchling                | current dataset     | `dataset_<32 hex>`          | uid of version   |
| Benchling                | folder              | `coll_…`, root `proj_…`     | uid              |
| Datature                 | dataset             | `dataset_<dashed uuid>`     | uid of version   |
| Datature                 | asset               | `asset_<32 hex>_<position>` | uid of version   |
| Flow                     | everything          | `<n>`                       | n                |
| Flow                     | entry of a version  | `<n>-<position>`            | n of version     |
| UFDL                     | every `pk`          | `<n>`                       | n                |
| UFDL                     | file handle         | 64 hex                      | SHA-256          |
| Hub                      | commit              | 32 hex + 8 hex              | uid of version, revision |

All of them are made of `[A-Za-z0-9_-]`: several clients put an id into a URL without quoting it. A thing has exactly
one id of each form (lower-case digits, no leading zeros), so equal things have equal texts. Reading a text of another
form raises `NotFound`: whoever asks for an id that this server cannot have made asks for something that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

from entrepot.model.errors import NotFound

Uid: TypeAlias = UUID

#: What both databases can hold; a larger number is the id of nothing.
MAX_N = 2**63 - 1
#: Revisions and version numbers are 32-bit columns.
MAX_REVISION = 2**31 - 1

_HEX32 = r"([0-9a-f]{32})"
_DASHED = r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_NUMBER = r"(0|[1-9][0-9]{0,18})"

_PLAIN = re.compile(rf"([a-z]+)_{_HEX32}")
_REVISION = re.compile(rf"rev_{_HEX32}_{_NUMBER}")
_BENCHLING_FRAME = re.compile(rf"dset_{_HEX32}")
_BENCHLING_DATASET = re.compile(rf"dataset_{_HEX32}")
_DATATURE_DATASET = re.compile(rf"dataset_{_DASHED}")
_DATATURE_ASSET = re.compile(rf"asset_{_HEX32}_{_NUMBER}")
_INTEGER = re.compile(_NUMBER)
_FLOW_ENTRY = re.compile(rf"{_NUMBER}-{_NUMBER}")
_HANDLE = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(rf"{_HEX32}([0-9a-f]{{8}})")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Noun(StrEnum):
    """What an id can name."""

    PROJECT = "project"
    COLLECTION = "collection"
    DATASET = "dataset"
    VERSION = "version"
    REVISION = "revision"
    ENTRY = "entry"
    CONTENT = "content"
    UPLOAD = "upload"
    TASK = "task"
    RELATIONSHIP = "relationship"
    USER = "user"
    TEAM = "team"
    TOKEN = "token"  # noqa: S105
    WEBHOOK = "webhook"
    DELIVERY = "delivery"
    LICENCE = "licence"
    NODE = "node"
    WORKSPACE = "workspace"


#: The native form of each noun: prefix, `_`, 32 hex digits. A workspace is an installation of this server.
PREFIXES: dict[Noun, str] = {
    Noun.PROJECT: "proj",
    Noun.COLLECTION: "coll",
    Noun.DATASET: "ds",
    Noun.VERSION: "ver",
    Noun.UPLOAD: "up",
    Noun.TASK: "task",
    Noun.RELATIONSHIP: "rel",
    Noun.USER: "user",
    Noun.TEAM: "team",
    Noun.TOKEN: "tok",
    Noun.WEBHOOK: "webhook",
    Noun.DELIVERY: "dlv",
    Noun.LICENCE: "lic",
    Noun.NODE: "node",
    Noun.WORKSPACE: "ws",
}
_NOUNS = {prefix: noun for noun, prefix in PREFIXES.items()}


def new_uid(now: datetime, randomness: bytes) -> Uid:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then 74 random bits.

    The time in front keeps new rows together in an index. It gives no order within a millisecond.

    Args:
        now: Aware, from 1970 on.
        randomness: 10 bytes from a secure source.
    """
    if now.tzinfo is None or len(randomness) != 10:
        raise ValueError("A uid needs an aware time and 10 random bytes.")
    millis = (now - _EPOCH) // _MILLISECOND
    if not 0 <= millis < 2**48:
        raise ValueError(f"A uid cannot hold the time {now.isoformat()}.")
    chance = int.from_bytes(randomness)
    high, low = chance >> 68, chance & (2**62 - 1)
    return UUID(int=millis << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


# --- native and daemon -----------------------------------------------------------------------------------------------


def encode(noun: Noun, uid: Uid) -> str:
    """The native id: `ver_0190…`. For the nouns of `PREFIXES`; the others have a function of their own."""
    return f"{PREFIXES[noun]}_{uid.hex}"


def decode(noun: Noun, text: str) -> Uid:
    """The uid in a native id of this noun; `NotFound` for any other text."""
    match = _PLAIN.fullmatch(_checked(text))
    if match is None or match[1] != PREFIXES[noun]:
        raise _no(noun, text, f"{PREFIXES[noun]}_<32 hex digits>")
    return UUID(hex=match[2])


def revision_id(version: Uid, revision: int) -> str:
    return f"rev_{version.hex}_{_natural(revision, MAX_REVISION)}"


def parse_revision_id(text: str) -> tuple[Uid, int]:
    """Version and revision number."""
    match = _REVISION.fullmatch(_checked(text))
    if match is None:
        raise _no(Noun.REVISION, text, "rev_<32 hex digits>_<number>")
    return UUID(hex=match[1]), _bounded(Noun.REVISION, text, match[2], MAX_REVISION)


# --- Benchling -------------------------------------------------------------------------------------------------------


def benchling_frame(version: Uid) -> str:
    """The id of a version as a data frame, and as a dataset for the old client: the vendor's own prefix for both."""
    return f"dset_{version.hex}"


def parse_benchling_frame(text: str) -> Uid:
    return _uid(_BENCHLING_FRAME, Noun.VERSION, text, "dset_<32 hex digits>")


def benchling_dataset(version: Uid) -> str:
    """The id of the same version as a dataset for the current client. The prefix decides the shape of the answer."""
    return f"dataset_{version.hex}"


def parse_benchling_dataset(text: str) -> Uid:
    return _uid(_BENCHLING_DATASET, Noun.VERSION, text, "dataset_<32 hex digits>")


def parse_benchling_version(text: str) -> Uid:
    """Either of the two: the data-frame routes take both."""
    if _BENCHLING_FRAME.fullmatch(_checked(text)):
        return parse_benchling_frame(text)
    return parse_benchling_dataset(text)


def benchling_folder(collection: Uid, project: Uid) -> str:
    """`coll_…`; for the root, whose uid is its project's, `proj_…`."""
    return encode(Noun.PROJECT, project) if collection == project else encode(Noun.COLLECTION, collection)


def parse_benchling_folder(text: str) -> Uid:
    """The collection's uid, from `coll_…` or, for a root, from `proj_…`."""
    match = _PLAIN.fullmatch(_checked(text))
    if match is None or match[1] not in ("coll", "proj"):
        raise _no(Noun.COLLECTION, text, "coll_<32 hex digits>")
    return UUID(hex=match[2])


# --- Datature --------------------------------------------------------------------------------------------------------


def datature_dataset(version: Uid) -> str:
    return f"dataset_{version}"


def parse_datature_dataset(text: str) -> Uid:
    return _uid(_DATATURE_DATASET, Noun.VERSION, text, "dataset_<uuid with dashes>")


def datature_asset(version: Uid, position: int) -> str:
    """An entry, by its version and its position, which stays through replacing and renaming."""
    return f"asset_{version.hex}_{_natural(position)}"


def parse_datature_asset(text: str) -> tuple[Uid, int]:
    match = _DATATURE_ASSET.fullmatch(_checked(text))
    if match is None:
        raise _no(Noun.ENTRY, text, "asset_<32 hex digits>_<number>")
    return UUID(hex=match[1]), _bounded(Noun.ENTRY, text, match[2])


# --- Flow and UFDL ---------------------------------------------------------------------------------------------------


def flow_data(n: int) -> str:
    """Data, sample, project and user ids are decimal strings; its client refuses JSON numbers."""
    return str(_natural(n))


def parse_flow_data(text: str) -> int:
    return _n(Noun.VERSION, text)


def flow_entry(n: int, position: int) -> str:
    """One file of a sample."""
    return f"{_natural(n)}-{_natural(position)}"


def parse_flow_entry(text: str) -> tuple[int, int]:
    """`n` of the version and the position of the entry."""
    match = _FLOW_ENTRY.fullmatch(_checked(text))
    if match is None:
        raise _no(Noun.ENTRY, text, "<number>-<number>")
    return _bounded(Noun.ENTRY, text, match[1]), _bounded(Noun.ENTRY, text, match[2])


def ufdl_pk(n: int) -> str:
    """As it stands in a path; in a body it is the number itself."""
    return str(_natural(n))


def parse_ufdl_pk(text: str, noun: Noun = Noun.VERSION) -> int:
    return _n(noun, text)


def ufdl_handle(sha256: bytes) -> str:
    return sha256.hex()


def parse_ufdl_handle(text: str) -> bytes:
    """The 32 bytes of the content's SHA-256."""
    if not _HANDLE.fullmatch(_checked(text)):
        raise _no(Noun.CONTENT, text, "64 hex digits")
    return bytes.fromhex(text)


# --- Hub -------------------------------------------------------------------------------------------------------------


def hub_commit(version: Uid, revision: int) -> str:
    """40 hex digits, as a commit of git looks."""
    return f"{version.hex}{_natural(revision, MAX_REVISION):08x}"


def parse_hub_commit(text: str) -> tuple[Uid, int]:
    match = _COMMIT.fullmatch(_checked(text))
    if match is None:
        raise _no(Noun.REVISION, text, "40 hex digits")
    revision = int(match[2], 16)
    if revision > MAX_REVISION:
        raise _no(Noun.REVISION, text, "40 hex digits")
    return UUID(hex=match[1]), revision


# --- any door's id ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that an id may name. Exactly one of `uid`, `n` and `sha256` is given: by it the thing is looked up.

    For a revision and an entry, `uid` or `n` is the version's and `revision` or `position` says which one of it.
    """

    noun: Noun
    door: str
    uid: Uid | None = None
    n: int | None = None
    sha256: bytes | None = None
    revision: int | None = None
    position: int | None = None


#: Doors whose integers have to be written with their name before them, and what an integer may be there.
_INTEGERS: dict[str, tuple[Noun, ...]] = {
    "ufdl": (Noun.VERSION, Noun.PROJECT, Noun.TEAM, Noun.USER, Noun.LICENCE, Noun.NODE),
    "flow": (Noun.VERSION, Noun.PROJECT, Noun.USER),
}


def parse_any(text: str) -> list[Candidate]:
    """All things that an id of any door may name, the likeliest first; empty for what is no id at all.

    Integers say nothing about their door and are written `ufdl:12`, `flow:12` or, for an entry, `flow:12-3`.
    """
    for read in _READERS:
        try:
            return read(text)
        except NotFound:
            continue
    return []


def _read_native(text: str) -> list[Candidate]:
    match = _PLAIN.fullmatch(_checked(text))
    if match is None or match[1] not in _NOUNS:
        raise _no(Noun.VERSION, text, "<prefix>_<32 hex digits>")
    return [Candidate(_NOUNS[match[1]], "native", uid=UUID(hex=match[2]))]


def _read_revision(text: str) -> list[Candidate]:
    uid, revision = parse_revision_id(text)
    return [Candidate(Noun.REVISION, "native", uid=uid, revision=revision)]


def _read_benchling(text: str) -> list[Candidate]:
    return [Candidate(Noun.VERSION, "benchling", uid=parse_benchling_version(text))]


def _read_datature(text: str) -> list[Candidate]:
    return [Candidate(Noun.VERSION, "datature", uid=parse_datature_dataset(text))]


def _read_asset(text: str) -> list[Candidate]:
    uid, position = parse_datature_asset(text)
    return [Candidate(Noun.ENTRY, "datature", uid=uid, position=position)]


def _read_integer(text: str) -> list[Candidate]:
    door, _, number = _checked(text).partition(":")
    return [Candidate(noun, door, n=_n(noun, number)) for noun in _INTEGERS.get(door, ())]


def _read_flow_entry(text: str) -> list[Candidate]:
    door, _, rest = _checked(text).partition(":")
    if door != "flow":
        raise _no(Noun.ENTRY, text, "flow:<number>-<number>")
    n, position = parse_flow_entry(rest)
    return [Candidate(Noun.ENTRY, door, n=n, position=position)]


def _read_commit(text: str) -> list[Candidate]:
    uid, revision = parse_hub_commit(text)
    return [Candidate(Noun.REVISION, "hub", uid=uid, revision=revision)]


def _read_handle(text: str) -> list[Candidate]:
    return [Candidate(Noun.CONTENT, "ufdl", sha256=parse_ufdl_handle(text))]


#: No text is read by two of these; `_read_integer` finds nothing for a door it does not know, so it comes last.
_READERS: tuple[Callable[[str], list[Candidate]], ...] = (
    _read_native,
    _read_revision,
    _read_benchling,
    _read_datature,
    _read_asset,
    _read_flow_entry,
    _read_commit,
    _read_handle,
    _read_integer,
)


def all_ids(n: int, uid: Uid, *, revision: int | None = None) -> dict[str, str]:
    """The ids by which each door knows a version, by the door's name; with a revision, the ids of that one too.

    `benchling` is the id that every client of it takes; `benchling_dataset` is the current client's folder item.
    """
    ids = {
        "native": encode(Noun.VERSION, uid),
        "benchling": benchling_frame(uid),
        "benchling_dataset": benchling_dataset(uid),
        "datature": datature_dataset(uid),
        "flow": flow_data(n),
        "ufdl": ufdl_pk(n),
        "daemon": encode(Noun.VERSION, uid),
    }
    if revision is not None:
        ids["revision"] = revision_id(uid, revision)
        ids["hub"] = hub_commit(uid, revision)
    return ids


def all_project_ids(n: int, uid: Uid) -> dict[str, str]:
    """The ids by which each door knows a project. Benchling sees its root folder."""
    native = encode(Noun.PROJECT, uid)
    return {
        "native": native,
        "benchling": benchling_folder(uid, uid),
        "datature": native,
        "flow": flow_data(n),
        "ufdl": ufdl_pk(n),
        "daemon": native,
    }


def all_entry_ids(n: int, uid: Uid, position: int) -> dict[str, str]:
    """The ids of one entry, by `n` and uid of its version."""
    return {"datature": datature_asset(uid, position), "flow": flow_entry(n, position)}


def all_user_ids(n: int, uid: Uid) -> dict[str, str]:
    native = encode(Noun.USER, uid)
    return {"native": native, "flow": flow_data(n), "ufdl": ufdl_pk(n), "daemon": native}


# --- how it is done --------------------------------------------------------------------------------------------------


def _checked(text: str) -> str:
    """Ids come out of JSON bodies too, where anything may stand in their place."""
    if not isinstance(text, str):
        raise NotFound(f"An id is a text, not {type(text).__name__}. Check where it was taken from.")
    return text


def _uid(form: re.Pattern[str], noun: Noun, text: str, shape: str) -> Uid:
    match = form.fullmatch(_checked(text))
    if match is None:
        raise _no(noun, text, shape)
    return UUID(match[1])


def _n(noun: Noun, text: str) -> int:
    if _INTEGER.fullmatch(_checked(text)) is None:
        raise _no(noun, text, "a whole number")
    return _bounded(noun, text, text)


def _bounded(noun: Noun, text: str, digits: str, most: int = MAX_N) -> int:
    number = int(digits)
    if number > most:
        raise _no(noun, text, "a smaller number")
    return number


def _natural(number: int, most: int = MAX_N) -> int:
    if not 0 <= number <= most:
        raise ValueError(f"{number} is not a number of the catalogue.")
    return number


def _no(noun: Noun, text: str, shape: str) -> NotFound:
    shown = repr(text) if len(text) <= 80 else f"{text[:60]!r}…"
    return NotFound(f"There is no {noun} with the id {shown}. Ids of this form look like {shape}; check it for a slip.")
