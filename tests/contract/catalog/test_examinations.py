"""What was read out of contents, as the entries of a revision show it."""

from __future__ import annotations

from datetime import UTC, datetime

from entrepot.catalog import examinations
from entrepot.catalog.entries import Put, Remove
from entrepot.model.data_types import Report, Standing
from tests.support.histories import Histories

AT = datetime(2026, 1, 5, tzinfo=UTC)


def test_facts_of_the_first_entries_are_those_of_the_types_that_they_carry(histories: Histories) -> None:
    """At the head of a history and at an older point; equal bytes tell what they have to tell once."""
    h, v = histories, histories.version()
    one, other = h.content("a,b"), h.content("nothing")
    reports = {
        (one, "csv"): Report(Standing.GOOD, None, "csv", facts={"columns": ["a", "b"]}),
        (one, None): Report(Standing.UNCHECKED, None, None, facts={"title": "as no type"}),
        (other, None): Report(Standing.UNCHECKED, None, None),
    }
    h.write(lambda conn: examinations.put_many(conn, reports, edition=1, at=AT))
    h.commit(v, Put("b", one, dtype="csv"), Put("c", one, dtype="csv"), Put("d", other))
    h.commit(v, Put("a", one))
    h.commit(v, Remove("b"), Remove("c"))
    as_csv, as_none = {"columns": ["a", "b"]}, {"title": "as no type"}
    with h.catalog.read() as conn:
        told = [examinations.first_facts(conn, v, rev) for rev in (0, 1, 2, 3)]
    assert told == [[], [as_csv], [as_none, as_csv], [as_none]]
