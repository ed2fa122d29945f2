"""One life after the other of a depot, beside a model of dicts: the way of every step, and what comes after a death.

The steps themselves are in `depot_names`, `depot_content` and the test. Each asks the model first: it either changes a
copy of itself or says which errors are right. Then the depot does it. Acknowledged: the copy is the model from now on.
Refused: one of those errors, and nothing changed. Died: the depot is opened again on what is left and must show the
model or its copy, as a whole.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from entrepot.depot.context import Depot
from entrepot.depot.credentials import Bearer, authenticate
from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError, Unauthenticated
from entrepot.model.values import Numbering, Visibility
from entrepot.testing.faulty import Crash, crash
from tests.support import entry_model
from tests.support.depot_facts import NEW, Record, Who
from tests.support.depot_model import Model
from tests.support.entry_model import Refused
from tests.support.postgres import PostgresServer
from tests.support.premises import Premises, difference, expected, expected_records

PATHS = ["a", "b", "a/x", "a/y", "b/x", "c/d/e", "c/d/f", "é.txt"]
FOLDERS = ["a", "b", "c", "c/d"]
CONTENTS = [b"", b"1", b"22", b"333", b"4444"]
NAMES = ["Penguins", "penguins", "Auks"]
HOMES = ["Birds", "Birds!", "Lab data"]
SLUGS = ["penguins", "auks", "birds", "other"]
#: One that sorts between another and what is below it.
COLLECTIONS = ["x", "x-", "x/y", "x/y/z", "w"]
QUERIES = ["penguins", "auk", "birds", "cold", "of birds", "x", "oth", "penguins b"]
MOST_VERSIONS = 9
#: Times those of the profile: one long life sees more than several short ones, and moving in is dear.
STEPS = 4.0
#: Every transaction is synced, and a real disk has nothing to add: deaths and power cuts are simulated.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

paths = st.sampled_from(PATHS)
folders = st.sampled_from(FOLDERS)
contents = st.sampled_from(CONTENTS)
#: Bytes that are hardly here already, so that all the steps of placing and naming them are taken.
fresh = st.binary(min_size=3, max_size=7)
texts = st.sampled_from([None, "", "m", "n"])
visibilities = st.sampled_from([Visibility.PRIVATE, *Visibility])
numberings = st.sampled_from([Numbering.NEXT] * 4 + [Numbering.ONLY, Numbering.FIRST])
# Those who may do most come first: what somebody may not do is quickly tried.
people = st.sampled_from(["ann", "ann", "ann", "ann", "admin", "bob", "bob", "cid", "dan", None])


@dataclass(frozen=True)
class Doom:
    """The process dies at a step from now on; with `power` the machine goes with it."""

    steps: int
    when: str
    power: int | None


dooms = st.builds(
    Doom,
    st.integers(1, 5),
    st.sampled_from(["before", "torn", "after"]),
    st.none() | st.integers(0, 7),
)
#: Most steps are left in peace.
sometimes_doomed = st.sampled_from(range(5)).flatmap(lambda k: dooms if k == 4 else st.none())
#: Where each step leaves something that the next one has to make sense of.
often_doomed = st.none() | dooms

changes = st.one_of(
    st.builds(entry_model.Add, paths, contents, texts, st.sampled_from(["any", "any", "any", "absent", "present"])),
    st.builds(entry_model.Add, paths, contents, texts),
    st.builds(entry_model.Remove, paths | folders, st.booleans()),
    st.builds(entry_model.Rename, paths, paths),
    st.builds(entry_model.Rename, folders, folders | paths, st.just(True)),
    st.builds(entry_model.Describe, paths, st.sampled_from(["", "m", "n"])),
)


#: In place of a strategy: the step draws by itself.
DATA = st.nothing()


def kind(
    group: str, weight: int, *, when: Callable[[Life], bool] = lambda _: True, **drawn: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A kind of step: how often it comes, when it can, and what is drawn for it.

    Not rules of their own: Hypothesis switches most rules off in most runs, and what is left of a server's life then
    is, say, seventy deaths.
    """

    def noted(step: Callable[..., None]) -> Callable[..., None]:
        KINDS.append(Kind(step, group, weight, when, drawn))
        return step

    return noted


@dataclass(frozen=True, repr=False)
class Kind:
    step: Callable[..., None]
    group: str
    weight: int
    can: Callable[[Life], bool]
    drawn: dict[str, st.SearchStrategy[Any]]

    def __repr__(self) -> str:
        return self.step.__name__


KINDS: list[Kind] = []


class Life(RuleBasedStateMachine):
    """The frame; whoever moves in sets the premises, the model and the wheel that kinds of steps are drawn from."""

    server: ClassVar[PostgresServer | None]
    shared: ClassVar[Path]
    premises: Premises
    model: Model
    wheel: list[Kind]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        self.uids: dict[int, Any] = {}
        #: Whoever shows a token of theirs at present, with its text.
        self.shown: dict[str, tuple[Who, str]] = {}
        self.refusals: Counter[str] = Counter()
        #: False from the beginning of a step to its good end.
        self.is_sound = False

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.wheel))
        if one.can(self):
            drawn = {name: data if what is DATA else data.draw(what) for name, what in one.drawn.items()}
            self.is_sound = False
            one.step(self, **drawn)
            self.is_sound = True

    def tell(self, said: str) -> None:
        """For whoever reads how a failure came about."""
        note(said)

    def looks(self) -> bool:
        """Whether all records are compared after this step."""
        return True

    # ------------------------------------------------------------------ the way of every step

    def attempt(
        self,
        said: str,
        who: str | None,
        change: Callable[[Model, Who], object],
        act: Callable[[Depot, Actor], Any],
        doom: Doom | None = None,
        *,
        repeats: bool = False,
    ) -> Any:
        """Do something to the model and to the depot, and compare.

        Args:
            repeats: It may be half done after a death, and done again it must come to the same end.

        Returns:
            What the depot answered; None when it refused, or died, or was not asked at all.
        """
        actor, before = self.actor(who), self.model
        asking = self.asking(who)
        after, refused = before.copy(), None
        try:
            change(after, asking)
        except Refused as wrong:
            after, refused = after if wrong.keep else before, wrong
            if self.is_boring(wrong):
                return None
        depot, faults = self.premises.depot, self.premises.faults
        if doom is not None:
            faults.at(len(faults.steps) + doom.steps, crash(doom.when))  # type: ignore[arg-type]
        try:
            result, error, crashed = self.tried(act, depot, actor)
        finally:
            faults.heal()
        # The step at which it died may have failed by itself.
        if faults.dead:
            assert doom is not None
            if error is None and not crashed:
                # Somebody beside died first; this was acknowledged, so it must be there.
                before = after
            self.tell(
                f"{said}: died {doom.when} {faults.steps[-1]}" + (" by a power cut" if doom.power is not None else "")
            )
            self.rise(said, before, after, (act, refused) if repeats else None, actor, doom)
            return None
        if error is not None:
            self.tell(f"{said}: {type(error).__name__}")
            if refused is None or not isinstance(error, refused.kinds):
                raise AssertionError(f"{said}: {error!r} instead of {refused or 'doing it'}") from error
        else:
            self.tell(f"{said}: done")
            assert refused is None, f"{said}: the depot did it instead of {refused}"
            self.christen(after, result)
        self.model = after
        if not self.looks():
            return result
        self.compare(said, expected_records(self.model), self.premises.records())
        for n, record in after.records.items():
            if n not in before.records or before.records[n].newest != record.newest:
                self.check_state(n, record.newest)
        return result

    def is_boring(self, refused: Refused) -> bool:
        """Most of what somebody may not do was seen already: of each kind one in four is tried."""
        self.refusals[str(refused)] += not refused.keep
        return not refused.keep and self.refusals[str(refused)] % 4 != 1

    def asking(self, who: str | None) -> Who:
        shown = self.shown.get(who) if who is not None else None
        # A token that ended is put away by whoever acts next.
        return shown[0] if shown is not None and self.model.is_good(shown[0]) else Who(who)

    def actor(self, who: str | None) -> Actor:
        """Somebody with what they show at present; a token that ended is put away."""
        if who not in self.shown:
            return self.premises.actor(who)
        asking, text = self.shown[who]
        if not self.model.is_good(asking):
            with pytest.raises(Unauthenticated):
                authenticate(self.premises.depot, Bearer(text), door="native")
            del self.shown[who]
            return self.premises.actor(who)
        return authenticate(self.premises.depot, Bearer(text), door="native")

    def tried(
        self, act: Callable[[Depot, Actor], Any], depot: Depot, actor: Actor
    ) -> tuple[Any, EntrepotError | None, bool]:
        """What it answered, or raised, and whether it died."""
        try:
            return act(depot, actor), None, False
        except EntrepotError as error:
            return None, error, False
        except Crash:
            return None, None, True

    def christen(self, model: Model, result: Any) -> None:
        """Give what was just made the number that the depot gave it."""
        for things in (model.homes, model.records):
            made: Any = things.pop(NEW, None)
            if made is not None:
                made.n = result.n
                things[result.n] = made
                if isinstance(made, Record):
                    self.uids[result.n] = result.uid
        if model.sendings and model.sendings[-1].uid is None:
            model.sendings[-1].uid = result.uid

    def compare(self, said: str, want: dict[str, Any], have: dict[str, Any]) -> None:
        if want != have:
            raise AssertionError(f"{said}: the depot shows something else\n{difference(want, have)}")

    def rise(
        self,
        said: str,
        before: Model,
        after: Model,
        again: tuple[Callable[[Depot, Actor], Any], Refused | None] | None,
        actor: Actor,
        doom: Doom,
    ) -> None:
        """Open the depot once more and find out what is left."""
        self.premises.die(power=doom.power)
        self.premises.check_bytes()
        self.receive_less(before, after, doom)
        if again is not None:
            act, refused = again
            error = self.tried(act, self.premises.depot, actor)[1]
            assert (error is None) == (refused is None), f"{said}, died, and once more: {error!r} instead of {refused}"
            self.model = after
            self.everything_is_shown(f"{said}, died, and once more")
            return
        shown = self.premises.everything(self.uids)
        for part, things in (("projects", after.homes), ("versions", after.records)):
            fresh = shown[part].keys() - getattr(before, "homes" if part == "projects" else "records").keys()
            if fresh and NEW in things:
                made: Any = things.pop(NEW)  # type: ignore[attr-defined]
                made.n = min(fresh)
                things[made.n] = made  # type: ignore[index]
        for candidate in (before, after):
            if expected(candidate, shown) == shown:
                self.model = candidate
                return
        raise AssertionError(
            f"{said}, died: it neither happened\n{difference(expected(after, shown), shown)}\n"
            f"nor did it not\n{difference(expected(before, shown), shown)}"
        )

    def receive_less(self, before: Model, after: Model, doom: Doom) -> None:
        """Of unfinished uploads a power cut may take what was not synced, and what was being sent may have arrived in
        part: they go on from where they are."""
        found = self.premises.uploads()
        known = {one.uid for one in before.sendings}
        if after.sendings and after.sendings[-1].uid is None:
            after.sendings[-1].uid = next((uid for uid in found if uid not in known), None)
        later = {one.uid: one for one in after.sendings}
        for one in before.sendings:
            row, then = found.get(one.uid), later.get(one.uid, one)  # type: ignore[arg-type]
            if row is None or row.state != "open":
                continue
            least = 0 if doom.power is not None else min(len(one.arrived), len(then.arrived))
            longest = max(one.arrived, then.arrived, key=len)
            assert least <= row.received <= len(longest), f"the upload {one} is at {row.received}"
            assert row.expires_at in (one.expires_at, then.expires_at), f"the upload {one} ends at {row.expires_at}"
            one.is_ending = one.is_ending or then.finished
            for either in (one, then):
                if not either.finished:
                    either.arrived, either.expires_at = longest[: row.received], row.expires_at

    def everything_is_shown(self, said: str = "looking at everything") -> None:
        shown = self.premises.everything(self.uids)
        self.compare(said, expected(self.model, shown), shown)
        self.premises.check_bytes()

    # ------------------------------------------------------------------ choices

    def some_record(self, data: st.DataObject) -> int:
        """A version, now and then one that is not there."""
        return data.draw(st.sampled_from([*sorted(self.model.records) * 8, 99]))

    def some_home(self, data: st.DataObject) -> int:
        """A project, mostly one that somebody made."""
        made = sorted(n for n, home in self.model.homes.items() if not home.personal)
        return data.draw(st.sampled_from([*made * 6, *sorted(self.model.homes), 99]))

    def newest(self, n: int) -> int:
        record = self.model.records.get(n)
        return 0 if record is None else record.newest

    def check_state(self, n: int, revision: int) -> None:
        want = {path: (f.content, f.meta, f.pos) for path, f in self.model.records[n].revisions[revision].items()}
        found = self.premises.state(n, revision)
        assert found == want, f"version {n} shows {found} at revision {revision} instead of {want}"
