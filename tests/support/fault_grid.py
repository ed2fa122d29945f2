"""Which fault meets which operation, and where that is tested: the grid of docs/reliability.md.

Every pair has a proof, which can be looked up, or a reason why it means nothing. `tests/faults/test_grid.py` asks each
proof whether it is there and whether the fault can strike, and each reason that can be asked whether it is true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.support.wire_cells import means_something

__all__ = ["FAULTS", "HEADING", "OPERATIONS", "Cell", "Proof", "Request", "Seen", "page", "proofs", "reason"]

HEADING: Final = "Which fault meets which operation"


@dataclass(frozen=True)
class Cell:
    """A cell of `tests.support.cells`."""

    row: str
    column: str


@dataclass(frozen=True)
class Request:
    """A cell of `tests.support.wire_cells`."""

    row: str
    column: str


@dataclass(frozen=True)
class Seen:
    """A test of its own.

    Args:
        test: File and function.
        word: Something that is in the file, or in the program of tests/support that it runs.
        program: That program.
    """

    test: str
    word: str
    program: str = ""


Proof = Cell | Request | Seen


@dataclass(frozen=True)
class Operation:
    """
    Args:
        cells: Its rows among the depot's; a push is several.
        requests: Its rows among the requests; none for what the server or its operator does.
        killed: Where real processes that do it are killed.
        none: Why a fault of this name means nothing to it.
    """

    cells: Sequence[str]
    requests: Sequence[str] = ()
    killed: Sequence[Seen] = ()
    twice: Sequence[Seen] = ()
    none: Mapping[str, str] | None = None


_AT_STEPS: Final = (
    "tests/faults/test_server_kills.py::test_killed_at_steps_of_every_operation_it_keeps_what_it_acknowledged"
)
_TRANSFERS: Final = (
    "tests/faults/test_client_kills.py::"
    "test_a_killed_push_is_there_wholly_or_not_at_all_and_a_killed_pull_has_no_half_file"
)
_ENDINGS: Final = (
    "tests/faults/test_upload_ends.py::test_an_upload_whose_bytes_are_all_here_can_be_committed_after_a_kill"
)
_COLLECTION: Final = (
    "tests/faults/test_collection_kills.py::"
    "test_a_killed_collection_takes_nothing_that_is_used_and_is_ended_by_the_next"
)
_PACK: Final = "tests/faults/test_pack_kills.py::test_a_killed_batch_and_a_killed_compaction_are_ended_by_the_next"
_SCHEMA: Final = "tests/faults/test_migration_kills.py::test_a_migration_that_is_killed_is_done_wholly_or_not_at_all"
_STARTS: Final = (
    "tests/contract/catalog/test_migrations.py::test_three_processes_that_start_together_all_get_an_upgraded_database"
)
_COLLECTORS: Final = "tests/faults/test_collector_races.py::test_no_entry_loses_its_bytes_to_a_collector"
_BATCHES: Final = "tests/faults/test_pack_races.py::test_batches_beside_collectors"
_JOB: Final = (
    "tests/faults/test_processes_killed.py::test_the_worker_and_then_the_server_are_killed_and_the_job_is_done_once"
)
_JOBS: Final = "tests/faults/test_workers_killed.py::test_every_job_is_done_and_none_twice"
_AGAIN: Final = "tests/faults/test_server_kills.py::test_killed_again_and_again"

_ARCHIVES: Final = (
    "tests/faults/test_reading_killed.py::test_an_archive_that_is_broken_off_is_never_taken_for_a_whole_one"
)
_CHECKS: Final = (
    "tests/faults/test_reading_killed.py::test_a_check_that_is_killed_is_ended_by_the_next_and_no_damage_is_forgotten"
)

NO_BYTES: Final = "it reads and writes no stored bytes, only facts"
NO_WRITES: Final = "the server writes nothing for it"
_NO_CLIENT: Final = "no client asks for it over the network: its process is the one that is killed"
_NO_TOKEN: Final = "it goes by no token and no signed address"
_NO_SIGNATURE: Final = "its client uses no signed address, only its token"
_NO_JOB: Final = "no job takes part in it"
_NOT_TWICE: Final = "nobody sends it: it is one process, and a second one reads the same bytes and marks the same"


def _facts(name: str, word: str | None = None) -> Operation:
    """An operation that changes facts only."""
    return Operation(
        [name],
        [name],
        [Seen(_AT_STEPS, f'"{word or name}": ')],
        none={
            "corrupted object": NO_BYTES,
            "S3 500, 503": NO_BYTES,
            "S3 slow": NO_BYTES,
            "address expires": _NO_SIGNATURE,
        },
    )


_OWN: Final = {"client killed": _NO_CLIENT, "token expires": _NO_TOKEN, "address expires": _NO_TOKEN}

OPERATIONS: Final[Mapping[str, Operation]] = {
    "push": Operation(
        ["tus upload", "batch", "finish", "commit"],
        ["push", "push again", "batch up", "direct up"],
        [Seen(_TRANSFERS, '"server during a push"')],
    ),
    "tus upload": Operation(
        ["tus upload"], ["tus upload"], [Seen(_ENDINGS, '"tuspy"')], none={"address expires": _NO_SIGNATURE}
    ),
    "one-shot PUT": Operation(
        ["one-shot PUT"],
        ["one-shot PUT", "PUT and commit"],
        [Seen(_AT_STEPS, '"put": ')],
        none={"address expires": _NO_SIGNATURE},
    ),
    "finish": Operation(
        ["finish"], ["finish"], [Seen(_AT_STEPS, '"finish": ')], none={"address expires": _NO_SIGNATURE}
    ),
    # It looks at the beginning of each new file to tell what it is.
    "commit": Operation(
        ["commit"], ["commit"], [Seen(_AT_STEPS, '"commit": ')], none={"address expires": _NO_SIGNATURE}
    ),
    "copy": _facts("copy"),
    "merge": _facts("merge"),
    "restore": _facts("restore"),
    "trash": _facts("trash"),
    "purge": _facts("purge"),
    "GC": Operation(
        ["GC"],
        killed=[Seen(_COLLECTION, '"killed_collections"')],
        twice=[Seen(_COLLECTORS, "collector_stress")],
        none=_OWN,
    ),
    "compaction": Operation(
        ["compaction"],
        killed=[Seen(_PACK, '"again"')],
        twice=[Seen(_BATCHES, "collect", "pack_stress")],
        none=_OWN,
    ),
    "verify": Operation(
        ["verify", "verify, repairing"],
        killed=[Seen(_CHECKS, '"verify"', "killed_checks"), Seen(_CHECKS, '"scrub"', "killed_checks")],
        none={**_OWN, "request doubled": _NOT_TWICE},
    ),
    "migrate": Operation(
        ["migrate"],
        killed=[Seen(_SCHEMA, '"killed_migrations"')],
        twice=[Seen(_STARTS, "three")],
        none={
            **_OWN,
            "corrupted object": NO_BYTES,
            "S3 500, 503": NO_BYTES,
            "S3 slow": NO_BYTES,
            "request late": "it waits for the database as long as that takes; there is no limit that could be passed",
            "clock jumps": "it reads no clock",
        },
    ),
    "job take-over": Operation(
        ["job take-over"],
        killed=[Seen(_JOB, "kill"), Seen(_JOBS, "killed_workers")],
        twice=[Seen(_JOBS, "Dawdle", "killed_workers")],
        none=_OWN,
    ),
    "zip download": Operation(
        ["zip download"],
        ["zip download", "zip by link"],
        [
            Seen(_ARCHIVES, '"server, bytes"', "killed_archives"),
            Seen(_ARCHIVES, '"server, command"', "killed_archives"),
        ],
        none={"worker killed": _NO_JOB, "torn write": NO_WRITES},
    ),
}

#: In the words of the depot's columns and of the requests'.
_CELLS: Final[Mapping[str, Sequence[str]]] = {
    "server killed": ["process killed"],
    "worker killed": [],
    "client killed": [],
    "disk full": ["disk full", "disk full, torn", "database's disk full", "PostgreSQL's disk full"],
    "torn write": ["torn write"],
    "corrupted object": ["corrupted object"],
    "request lost": [],
    "request doubled": [],
    "request late": [],
    "connection cut": ["database lost before", "database lost after", "S3 answer lost"],
    "PostgreSQL restarted": ["PostgreSQL restarted"],
    "S3 500, 503": ["S3 answers 500", "S3 answers 503"],
    "S3 slow": ["S3 slow"],
    "clock jumps": ["clock a year on", "clock a year back"],
    "token expires": [],
    "address expires": [],
}
_REQUESTS: Final[Mapping[str, Sequence[str]]] = {
    # What a server sees of a client that dies: half of a request, or nobody who takes the answer.
    "client killed": ["request cut", "answer lost"],
    "disk full": ["disk full here"],
    "request lost": ["request lost", "answer lost", "gateway: 503"],
    "request doubled": ["request doubled", "doubled at once"],
    "request late": ["request late", "request slow", "gateway: 504 after"],
    "connection cut": ["request cut", "answer cut"],
    "token expires": ["token expires"],
    "address expires": ["address expires"],
}
FAULTS: Final = tuple(_CELLS)
#: What the server and its operator do asks for no request: lost and late are the database and the bucket then.
_WITHOUT_REQUESTS: Final[Mapping[str, Sequence[str]]] = {
    "request lost": ["database lost before", "database lost after"],
    "request late": ["S3 slow"],
}
#: What a worker does.
_WORKERS: Final = ("GC", "compaction", "verify", "job take-over")


def reason(operation: str, fault: str) -> str:
    """Why the pair means nothing; empty if it means something."""
    if fault == "worker killed" and operation == "migrate":
        return "the process that starts first does it, be it server or worker: the same kill"
    return (OPERATIONS[operation].none or {}).get(fault, "")


def columns(operation: str, fault: str) -> list[str]:
    """The columns of the depot's table that are this fault."""
    without = () if OPERATIONS[operation].requests else _WITHOUT_REQUESTS.get(fault, ())
    return [*_CELLS[fault], *without]


def proofs(operation: str, fault: str, strikes: Mapping[str, frozenset[str]]) -> list[Proof]:
    """Where the pair is tested; nothing where it means nothing.

    Args:
        strikes: By column of the depot's table the rows that it can strike.
    """
    if reason(operation, fault):
        return []
    found = OPERATIONS[operation]
    proved: list[Proof] = [
        Cell(row, column) for column in columns(operation, fault) for row in found.cells if row in strikes[column]
    ]
    proved += [
        Request(row, column)
        for column in _REQUESTS.get(fault, ())
        for row in found.requests
        if means_something(row, column)
    ]
    if fault == "server killed":
        proved += found.killed
    if fault == "worker killed":
        # Where a worker does it the process that is killed is one; beside the others one is killed while clients work.
        proved += found.killed if operation in _WORKERS else [Seen(_AGAIN, '"worker process"')]
        if operation in _WORKERS:
            proved += [Cell(row, "process killed") for row in found.cells]
    if fault == "client killed" and operation == "push":
        proved.append(Seen(_TRANSFERS, '"client that pushes"'))
    if fault == "client killed" and operation == "zip download":
        proved.append(Seen(_ARCHIVES, '"client"', "killed_archives"))
    if fault == "request doubled":
        proved += found.twice
    return proved


def page(strikes: Mapping[str, frozenset[str]]) -> str:
    """The part of docs/reliability.md."""
    reasons: list[str] = []
    lines = [
        f"## {HEADING}",
        "",
        "Every fault that Entrepot is tested against, and every operation. **d**: cells of [Operations under",
        "faults](#operations-under-faults), **r**: cells of [Requests under faults](#requests-under-faults), **k**:",
        "real processes that are killed, or race, in a test of their own; with how many cells or tests there are. A",
        "number in brackets says why the two have nothing to do with each other. A push is the rows of which it",
        "consists; of what no client asks for, *request lost* is a connection to the database and *request late* a",
        "slow bucket. A worker is killed beside push to purge in `make soak`, which runs all of this; every other",
        "test run has a seeded sample of each of the depot's columns, of each of the requests', and of those that go",
        "past the server to a bucket. `scripts/fault-table --grid` writes the table from",
        "`tests/support/fault_grid.py`, and `tests/faults/test_grid.py` asks each proof whether it is there and",
        "whether the fault can strike.",
        "",
        "| | " + " | ".join(FAULTS) + " |",
        "| --- |" + " --- |" * len(FAULTS),
    ]
    for operation in OPERATIONS:
        told = []
        for fault in FAULTS:
            why = reason(operation, fault)
            if why:
                if why not in reasons:
                    reasons.append(why)
                told.append(f"({reasons.index(why) + 1})")
                continue
            proved = proofs(operation, fault, strikes)
            kinds = {"d": Cell, "r": Request, "k": Seen}
            counted = {mark: sum(isinstance(one, kind) for one in proved) for mark, kind in kinds.items()}
            told.append(" ".join(f"{mark}{n}" for mark, n in counted.items() if n) or "missing")
        lines.append(f"| {operation} | " + " | ".join(told) + " |")
    lines.append("")
    lines += [f"{number}. {why[0].upper()}{why[1:]}." for number, why in enumerate(reasons, 1)]
    return "\n".join(lines)
