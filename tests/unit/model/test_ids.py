"""Ids of every door: exact forms, both directions, and nothing but NotFound for everything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.model import ids
from entrepot.model.errors import NotFound
from entrepot.model.ids import Candidate, Noun

UID = UUID("0190a6b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b")
HEX = "0190a6b27c3d7e4f8a9b0c1d2e3f4a5b"

uids = st.uuids()
numbers = st.integers(0, ids.MAX_N)
revisions = st.integers(0, 2**31 - 1)

#: name: (encode, decode, strategy of the arguments)
PAIRS: dict[str, tuple[Callable[..., str], Callable[[str], Any], st.SearchStrategy[tuple[Any, ...]]]] = {
    **{
        noun.value: (
            lambda uid, noun=noun: ids.encode(noun, uid),
            lambda text, noun=noun: ids.decode(noun, text),
            st.tuples(uids),
        )
        for noun in ids.PREFIXES
    },
    "revision": (ids.revision_id, ids.parse_revision_id, st.tuples(uids, revisions)),
    "benchling frame": (ids.benchling_frame, ids.parse_benchling_frame, st.tuples(uids)),
    "benchling dataset": (ids.benchling_dataset, ids.parse_benchling_dataset, st.tuples(uids)),
    "benchling either": (ids.benchling_dataset, ids.parse_benchling_version, st.tuples(uids)),
    "datature dataset": (ids.datature_dataset, ids.parse_datature_dataset, st.tuples(uids)),
    "datature asset": (ids.datature_asset, ids.parse_datature_asset, st.tuples(uids, numbers)),
    "flow data": (ids.flow_data, ids.parse_flow_data, st.tuples(numbers)),
    "flow entry": (ids.flow_entry, ids.parse_flow_entry, st.tuples(numbers, numbers)),
    "ufdl pk": (ids.ufdl_pk, ids.parse_ufdl_pk, st.tuples(numbers)),
    "ufdl handle": (ids.ufdl_handle, ids.parse_ufdl_handle, st.tuples(st.binary(min_size=32, max_size=32))),
    "hub commit": (ids.hub_commit, ids.parse_hub_commit, st.tuples(uids, revisions)),
    "benchling folder": (lambda uid: ids.benchling_folder(uid, UID), ids.parse_benchling_folder, st.tuples(uids)),
    "benchling root": (lambda uid: ids.benchling_folder(uid, uid), ids.parse_benchling_folder, st.tuples(uids)),
}


@pytest.mark.parametrize("pair", PAIRS)
@given(data=st.data())
def test_an_id_is_read_back_and_needs_no_quoting(pair: str, data: st.DataObject) -> None:
    encode, decode, arguments = PAIRS[pair]
    given_ = data.draw(arguments)
    text = encode(*given_)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    assert decode(text) == (given_ if len(given_) > 1 else given_[0])


almost = st.one_of(
    st.text(),
    st.text("0123456789abcdefABCDEF-_", max_size=70),
    st.sampled_from(["dset_", "dataset_", "ver_", "rev_", "asset_", "coll_", "proj_", ""]).flatmap(
        lambda prefix: st.text("0123456789abcdef-_", min_size=30, max_size=45).map(lambda rest: prefix + rest)
    ),
)


@pytest.mark.parametrize("pair", PAIRS)
@given(text=almost)
@example(text="")
@example(text=HEX + "\n")
@example(text="ver_" + HEX.upper())
@example(text="ver_" + HEX + "\n")
@example(text="٣")
@example(text="1_0")
@example(text="+1")
@example(text=" 1")
@example(text="01")
@example(text="9223372036854775808")
@example(text="9" * 5000)
@example(text="1-9223372036854775808")
@example(text="\ud800")
def test_any_other_text_is_not_found_and_what_is_read_has_one_spelling(pair: str, text: str) -> None:
    encode, decode, _ = PAIRS[pair]
    try:
        found = decode(text)
    except NotFound as exc:
        assert exc.message.endswith(".")  # noqa: PT017
        return
    if pair not in ("benchling folder", "benchling root", "benchling either"):  # which read two forms
        assert encode(*(found if isinstance(found, tuple) else (found,))) == text


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("value", [None, 12, 1.0, b"12", ["12"], {"a": 1}])
def test_what_is_not_text_is_not_found_either(pair: str, value: object) -> None:
    with pytest.raises(NotFound):
        PAIRS[pair][1](value)  # type: ignore[arg-type]
    assert ids.parse_any(value) == []  # type: ignore[arg-type]


def test_the_forms_are_these() -> None:
    """What is stored in people's scripts can never change."""
    assert {noun: ids.encode(noun, UID) for noun in ids.PREFIXES} == {
        Noun.PROJECT: f"proj_{HEX}",
        Noun.COLLECTION: f"coll_{HEX}",
        Noun.DATASET: f"ds_{HEX}",
        Noun.VERSION: f"ver_{HEX}",
        Noun.UPLOAD: f"up_{HEX}",
        Noun.TASK: f"task_{HEX}",
        Noun.RELATIONSHIP: f"rel_{HEX}",
        Noun.USER: f"user_{HEX}",
        Noun.TEAM: f"team_{HEX}",
        Noun.TOKEN: f"tok_{HEX}",
        Noun.WEBHOOK: f"webhook_{HEX}",
        Noun.DELIVERY: f"dlv_{HEX}",
        Noun.LICENCE: f"lic_{HEX}",
        Noun.NODE: f"node_{HEX}",
        Noun.WORKSPACE: f"ws_{HEX}",
    }
    assert ids.all_ids(12, UID, revision=17) == {
        "native": f"ver_{HEX}",
        "daemon": f"ver_{HEX}",
        "benchling": f"dset_{HEX}",
        "benchling_dataset": f"dataset_{HEX}",
        "datature": "dataset_0190a6b2-7c3d-7e4f-8a9b-0c1d2e3f4a5b",
        "flow": "12",
        "ufdl": "12",
        "revision": f"rev_{HEX}_17",
        "hub": f"{HEX}00000011",
    }
    assert ids.all_project_ids(3, UID) == {
        "native": f"proj_{HEX}",
        "daemon": f"proj_{HEX}",
        "benchling": f"proj_{HEX}",
        "datature": f"proj_{HEX}",
        "flow": "3",
        "ufdl": "3",
    }
    assert ids.all_entry_ids(12, UID, 4) == {"datature": f"asset_{HEX}_4", "flow": "12-4"}
    assert ids.all_user_ids(1, UID)["native"] == f"user_{HEX}"


def test_without_a_revision_the_ids_of_revisions_are_left_out() -> None:
    assert not {"revision", "hub"} & set(ids.all_ids(12, UID))


def test_a_root_collection_goes_by_its_projects_id_and_is_read_from_both() -> None:
    assert ids.benchling_folder(UID, UID) == f"proj_{HEX}"
    assert ids.parse_benchling_folder(f"coll_{HEX}") == ids.parse_benchling_folder(f"proj_{HEX}") == UID


@given(uids, numbers, revisions)
def test_whatever_a_door_printed_any_other_can_find(uid: UUID, n: int, revision: int) -> None:
    for door, text in ids.all_ids(n, uid, revision=revision).items():
        written = f"{door}:{text}" if door in ("flow", "ufdl") else text
        first = ids.parse_any(written)[0]
        assert first.noun is (Noun.REVISION if door in ("revision", "hub") else Noun.VERSION)
        assert first.uid == uid or first.n == n
        assert first.revision == (revision if first.noun is Noun.REVISION else None)
    for door, text in ids.all_entry_ids(n, uid, revision).items():
        (entry,) = ids.parse_any(f"{door}:{text}" if door == "flow" else text)
        assert (entry.noun, entry.position) == (Noun.ENTRY, revision)


def test_an_integer_may_name_several_things() -> None:
    assert ids.parse_any("flow:12") == [
        Candidate(Noun.VERSION, "flow", n=12),
        Candidate(Noun.PROJECT, "flow", n=12),
        Candidate(Noun.USER, "flow", n=12),
    ]
    assert [c.noun for c in ids.parse_any("ufdl:12")] == [
        Noun.VERSION,
        Noun.PROJECT,
        Noun.TEAM,
        Noun.USER,
        Noun.LICENCE,
        Noun.NODE,
    ]
    assert ids.parse_any("a" * 64) == [Candidate(Noun.CONTENT, "ufdl", sha256=b"\xaa" * 32)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "12", "penguins", "lab/penguins@3", "ufdl:", "ufdl:12-3", "flow:x", "hub:12", "ufdl:9223372036854775808"),
        *("ver_" + "0" * 31, "VER_" + HEX, f"foo_{HEX}", f"asset_{HEX}", HEX, str(UID), "ufdl:012", "flow:12-", "\x00"),
    ],
)
def test_what_is_no_id_names_nothing(text: str) -> None:
    assert ids.parse_any(text) == []


@given(almost)
def test_parse_any_never_raises(text: str) -> None:
    for candidate in ids.parse_any(text):
        assert sum(x is not None for x in (candidate.uid, candidate.n, candidate.sha256)) == 1


class TestNewUid:
    NOW = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)

    @given(st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year >= 1970), st.binary(min_size=10, max_size=10))
    def test_it_is_a_uuid_of_version_7_with_the_time_in_front(self, at: datetime, randomness: bytes) -> None:
        uid = ids.new_uid(at, randomness)
        assert (uid.version, uid.variant) == (7, RFC_4122)
        millis = uid.int >> 80
        assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis) <= at
        assert at < datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis + 1)

    def test_every_random_bit_that_fits_is_used(self) -> None:
        none, every = ids.new_uid(self.NOW, bytes(10)), ids.new_uid(self.NOW, b"\xff" * 10)
        assert (none.int ^ every.int).bit_count() == 74

    def test_later_ones_are_larger(self) -> None:
        later = self.NOW + timedelta(milliseconds=1)
        assert ids.new_uid(self.NOW, b"\xff" * 10) < ids.new_uid(later, bytes(10))

    def test_the_zone_of_the_time_does_not_matter(self) -> None:
        elsewhere = self.NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
        assert ids.new_uid(elsewhere, bytes(10)) == ids.new_uid(self.NOW, bytes(10))

    def test_a_naive_time_or_too_little_chance_is_a_mistake_of_the_caller(self) -> None:
        with pytest.raises(ValueError, match="aware"):
            ids.new_uid(self.NOW.replace(tzinfo=None), bytes(10))
        with pytest.raises(ValueError, match="10 random bytes"):
            ids.new_uid(self.NOW, bytes(9))
        with pytest.raises(ValueError, match="cannot hold"):
            ids.new_uid(datetime(1969, 1, 1, tzinfo=UTC), bytes(10))


def test_numbers_outside_the_catalogue_make_no_id() -> None:
    for encode in (ids.flow_data, ids.ufdl_pk, lambda n: ids.revision_id(UID, n), lambda n: ids.hub_commit(UID, n)):
        for n in (-1, 2**63):
            with pytest.raises(ValueError):
                encode(n)
    for encode in (ids.revision_id, ids.hub_commit):
        with pytest.raises(ValueError):
            encode(UID, 2**31)


def test_a_revision_that_no_column_can_hold_is_not_found() -> None:
    for text, read in ((f"rev_{HEX}_2147483648", ids.parse_revision_id), (f"{HEX}80000000", ids.parse_hub_commit)):
        with pytest.raises(NotFound):
            read(text)
