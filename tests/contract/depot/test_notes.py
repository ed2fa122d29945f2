"""Notes reach whatever depends on a version, as far as whoever asks may see, and are kept nowhere else."""

from __future__ import annotations

import pytest

from entrepot.depot import notes, relationships, versions
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, NotFound, TooLarge
from entrepot.model.values import Version, Visibility
from tests.support.house import House


def chain(house: House, actor: Actor, *names: str) -> list[Version]:
    """Versions, each made of the one before it, and the last a part of the first: edges may run in circles."""
    made = [versions.create(house.depot, actor, None, NewVersion(name)) for name in names]
    for origin, result in zip(made, [*made[1:], made[0]], strict=True):
        relationships.create(house.depot, actor, NewRelationship(result.n, origin.n, "derived_from"))
    return made


def seen(house: House, actor: Actor, version: Version) -> list[tuple[str, int]]:
    return [(note.text, note.distance) for note in notes.list_notes(house.depot, actor, version.n).rows]


def test_a_note_reaches_whatever_came_from_its_version_and_is_gone_when_removed(house: House) -> None:
    ann = house.user("ann")
    raw, means, plot = chain(house, ann, "raw", "means", "plot")
    noted = notes.add(house.depot, ann, raw.n, "  the scale was off ")
    notes.add(house.depot, ann, plot.n, "colours are wrong")
    assert seen(house, ann, plot) == [("colours are wrong", 0), ("the scale was off", 2)]
    # The circle closes it: plot is an origin of raw too.
    assert seen(house, ann, raw) == [("the scale was off", 0), ("colours are wrong", 1)]
    later = versions.create(house.depot, ann, None, NewVersion("later"))
    relationships.create(house.depot, ann, NewRelationship(later.n, means.n, "analysis_of"))
    assert ("the scale was off", 2) in seen(house, ann, later)
    (note,) = noted.properties[notes.PROPERTY]
    with pytest.raises(NotFound):
        notes.remove(house.depot, ann, later.n, note["id"])
    notes.remove(house.depot, ann, raw.n, note["id"])
    assert seen(house, ann, later) == [("colours are wrong", 3)]
    assert notes.PROPERTY not in versions.get(house.depot, ann, raw.n).version.properties


def test_a_frozen_version_takes_notes_and_a_copy_brings_none(house: House) -> None:
    ann = house.user("ann")
    version = versions.create(house.depot, ann, None, NewVersion("v"))
    versions.freeze(house.depot, ann, version.n)
    notes.add(house.depot, ann, version.n, "bad")
    assert seen(house, ann, version) == [("bad", 0)]


def test_what_one_may_not_see_tells_nothing(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    hidden = versions.create(house.depot, ann, None, NewVersion("hidden"))
    shown = versions.create(house.depot, ann, None, NewVersion("shown", visibility=Visibility.PUBLIC))
    relationships.create(house.depot, ann, NewRelationship(shown.n, hidden.n, "derived_from"))
    notes.add(house.depot, ann, hidden.n, "secret")
    notes.add(house.depot, ann, shown.n, "open")
    assert seen(house, bob, shown) == [("open", 0)]
    assert seen(house, ann, shown) == [("open", 0), ("secret", 1)]


def test_a_note_has_words_and_a_version_a_bounded_number_of_them(house: House) -> None:
    ann = house.user("ann")
    version = versions.create(house.depot, ann, None, NewVersion("v"))
    for text in ("", "  ", "x" * (notes.LONGEST + 1)):
        with pytest.raises(Invalid):
            notes.add(house.depot, ann, version.n, text)
    for number in range(notes.MOST):
        notes.add(house.depot, ann, version.n, f"note {number}")
    with pytest.raises(TooLarge):
        notes.add(house.depot, ann, version.n, "one more")
