"""Long lives of a depot: the machine's own steps, drawn from a seed, with collection at work beside them all the time.

Hypothesis looks for short failures and starts anew after some hundred steps. Here one life after the other goes on for
hundreds of steps, as fast as it can: records are compared now and then and everything at the end of each life, after
every death all of it. A second thread collects, sweeps, compacts and checks meanwhile, and dies with the process.

    made = run_lives(operations=1_000_000, seed=7, shared=folder)

A failure names its seed, and the last steps in words. With the second thread it need not come again in the same place.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis.control import BuildContext
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.strategies import SearchStrategy

from entrepot.catalog.entries import sweep_strands
from entrepot.depot import checking, collection, copies, entries, packing, projects, putting, trash, versions
from entrepot.depot.context import Depot
from entrepot.depot.putting import NewFile
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError
from entrepot.model.values import Numbering, Visibility
from entrepot.testing.faulty import Crash
from entrepot.wire import frames
from tests.support import entry_model
from tests.support.depot_facts import Who
from tests.support.depot_life import CONTENTS, DATA, MOST_VERSIONS, NAMES, PATHS, Doom, Kind
from tests.support.depot_machine import DepotMachine
from tests.support.depot_model import Model
from tests.support.premises import Premises

__all__ = ["Lived", "run_lives"]

#: Steps of a life, of how many the records are compared after one, and of how many doomed steps one may die.
_STEPS: Final = 2500
_LOOK: Final = 40
_DOOM: Final = 6
#: Of so many steps one is any step of the machine; the others are drawn without Hypothesis, which takes its time.
_ANY: Final = 12
#: Steps between two runs of what goes on beside them, and between two moves of the clock.
_BESIDE: Final = 25
_WAIT: Final = 200
#: So many failures end a run: they are hardly rare then.
_ENOUGH: Final = 10
#: Steps between two moves by a few hours.
_LATER: Final = 35
#: How a batch is committed, as `send_together` has it.
_COMMITS: Final = ("whole", "forgotten", "one by one", "one by one", "")


@dataclass
class Lived:
    """What was done, counted where it was done."""

    operations: int = 0
    lives: int = 0
    deaths: int = 0
    power_cuts: int = 0
    collections: int = 0
    ended_contents: int = 0
    rewritten_packs: int = 0
    checked_contents: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Lived) -> None:
        for name in ("operations", "lives", "deaths", "power_cuts", "collections", "ended_contents"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.rewritten_packs += other.rewritten_packs
        self.checked_contents += other.checked_contents
        self.seconds = max(self.seconds, other.seconds)
        self.kinds += other.kinds
        self.failures += other.failures


class Dice:
    """Draws what strategies can give, as Hypothesis does for its first try, and remembers nothing."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._data = ConjectureData(random=chance)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """One step draws from one of these: they take only so many choices."""
        self._data = ConjectureData(random=self._chance)
        with BuildContext(self._data, wrapped_test=lambda: None):
            yield

    def draw(self, strategy: SearchStrategy[Any], label: Any = None) -> Any:
        return self._data.draw(strategy)


class Keeper:
    """Collects beside the steps, whenever it is woken. The lock is held while it works."""

    def __init__(self, premises: Callable[[], Premises], lived: Lived) -> None:
        self._premises = premises
        self._lived = lived
        self.lock = threading.RLock()
        self._wake = threading.Event()
        self._over = False
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def close(self) -> None:
        self._over = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._over:
                return
            with self.lock:
                premises = self._premises()
                try:
                    self._keep(premises.depot)
                except Crash:
                    # The process died of this or of the other thread; who waits for the lock opens the depot anew.
                    pass
                except BaseException:
                    if not premises.faults.dead:
                        self.failure = traceback.format_exc()
                        return

    def _keep(self, depot: Depot) -> None:
        done = collection.collect(depot)
        sweep_strands(depot.catalog)
        self._lived.collections += 1
        self._lived.ended_contents += done.ended
        self._lived.rewritten_packs += done.packs
        if self._lived.collections % 20 == 0:
            checked = checking.verify(depot)
            self._lived.checked_contents += checked.contents
            assert checked.damaged == (), "good bytes were called damaged"


class LongLife(DepotMachine):
    """A life that is told what to do next by dice."""

    keeper: Keeper

    def __init__(self, dice: Dice, chance: random.Random, lived: Lived, shared: Path) -> None:
        type(self).server, type(self).shared = None, shared
        with dice.step():
            super().__init__()
        self.dice, self.chance, self.lived = dice, chance, lived
        self.told: deque[str] = deque(maxlen=60)
        self._since_look = 0

    def live(self, steps: int) -> None:
        """
        Raises:
            AssertionError: Something is not as the model says.
        """
        focus = self.chance.choice([None, "content", "uploads", "names", "rights"])
        # Mostly in memory: a faulty disk is dear, and Hypothesis has it in one of two lives.
        on_disk, room = self.chance.random() < 0.1, self.chance.choice([None, None, 12])
        try:
            # Asleep until it is woken: what is not there yet cannot be kept.
            self.keeper = Keeper(lambda: self.premises, self.lived)
            with self.dice.step():
                self.move_in(on_disk=on_disk, allocation=room, focus=focus)
            self.premises.page, self.premises.wants = 1000, lambda: self.chance.random() < 0.1
            for n in range(steps):
                self._one() if n % _ANY == 0 else self._quick(n)
                if n % _BESIDE == 0:
                    self.keeper.wake()
                assert self.keeper.failure is None, self.keeper.failure
            with self.dice.step(), self.keeper.lock:
                self.premises.wants = lambda: True
                self.settle()
        finally:
            self.keeper.close()
            self.stack.close()
        self.lived.lives += 1

    def _one(self) -> None:
        if not self.model.records:
            self._make("ann", None)
        with self.dice.step():
            one: Kind = self.chance.choice(self.wheel)
            if not one.can(self):
                return
            drawn = {name: self.dice if what is DATA else self.dice.draw(what) for name, what in one.drawn.items()}
            before = self.lived.operations
            self.is_sound = False
            one.step(self, **drawn)
            self.is_sound = True
            self.lived.kinds[repr(one)] += self.lived.operations - before

    # --- steps that are drawn quickly ---------------------------------------------------------------------------------

    def _quick(self, n: int) -> None:
        dice, doom = self.chance, None
        if dice.randrange(40) == 0:
            power = dice.choice([None, dice.randrange(8)])
            doom = Doom(dice.randrange(1, 5), dice.choice(["before", "torn", "after"]), power)
        if n % _WAIT == _WAIT // 2:
            self.wait(dice.choice([1, 13, 25, 49, 24 * 8]), None)
            return
        if n % _LATER == 0:
            # Graces end while the keeper collects beside the steps, not only inside of `wait`.
            self.model = self.model.copy()
            self.model.now = self.premises.clock.move(hours=3)
        if sum(record.trash is None for record in self.model.records.values()) < 3:
            self._make("ann", doom)
            return
        one = dice.choice(sorted(self.model.records))
        step = dice.choices(_QUICK, _WEIGHTS)[0]
        self.is_sound = False
        before = self.lived.operations
        step(self, one, dice.choice(("ann", "ann", "ann", "bob")), doom)
        self.lived.kinds[step.__name__.strip("_")] += self.lived.operations - before
        self.is_sound = True

    def _make(self, who: str, doom: Doom | None) -> None:
        """A version, so that there is something to work with."""
        homes = [n for n, home in self.model.homes.items() if not home.personal and not home.trashed]
        home = self.chance.choice(homes or sorted(self.model.homes))
        name, before = self.chance.choice(NAMES), self.lived.operations
        self.attempt(
            f"{who} makes {name} in project {home}",
            who,
            lambda m, w: m.create(w, home, name, Numbering.NEXT, Visibility.PRIVATE, None, None),
            lambda depot, actor: versions.create(depot, actor, home, NewVersion(name, numbering=Numbering.NEXT)),
            doom,
        )
        self.lived.kinds["make"] += self.lived.operations - before

    def _content(self) -> bytes:
        return self.chance.choice(CONTENTS) if self.chance.randrange(3) else self.chance.randbytes(5)

    def _read(self, n: int, who: str, doom: Doom | None) -> None:
        """One file of any revision."""
        record = self.model.records.get(n)
        if record is None or not record.head:
            return
        revision = self.chance.randrange(len(record.revisions))
        state = record.revisions[revision]
        if not state:
            return
        path = self.chance.choice(sorted(state))
        self.lived.operations += 1
        with entries.open_entry(
            self.premises.depot, self.premises.actor("admin"), n, path, revision=revision
        ).reader as reader:
            assert reader.read_at(0, reader.size) == state[path].content, f"version {n}@{revision} {path}: other bytes"

    def _list(self, n: int, who: str, doom: Doom | None) -> None:
        """The entries of any revision."""
        record = self.model.records.get(n)
        if record is None:
            return
        revision = self.chance.randrange(len(record.revisions))
        self.lived.operations += 1
        found = entries.list_entries(
            self.premises.depot, self.premises.actor("admin"), n, revision=revision, limit=1000
        )[2]
        want = {path: (len(file.content), file.meta, file.pos) for path, file in record.revisions[revision].items()}
        assert {one.path: (one.size, one.metadata, one.position) for one in found.rows} == want, f"{n}@{revision}"

    def _usage(self, n: int, who: str, doom: Doom | None) -> None:
        """What a project uses, to the byte."""
        record = self.model.records.get(n)
        if record is not None:
            self.lived.operations += 1
            used = projects.usage(self.premises.depot, self.premises.actor("admin"), record.project)
            assert used == self.model.used(record.project), f"project {record.project} uses {used}"

    def _fetch_together(self, n: int, who: str, doom: Doom | None) -> None:
        """Some files in one body, from wherever they lie."""
        record = self.model.records.get(n)
        if record is None or not record.head:
            return
        asked = self.chance.sample(sorted(record.head), self.chance.randint(1, len(record.head)))
        self.lived.operations += 1
        framed = packing.open_batch(self.premises.depot, self.premises.actor("admin"), n, asked)
        reader = frames.Frames()
        told = [bytes(frame.body) for block in framed.blocks() for frame in reader.feed(block)[0]]
        assert told == [record.head[path].content for path in asked], f"version {n}: other bytes in a batch"

    def _put(self, n: int, who: str, doom: Doom | None) -> None:
        path, content = self.chance.choice(PATHS), self._content()

        def act(depot: Depot, actor: Actor) -> None:
            put = putting.put_file(depot, actor, n, NewFile(path))
            try:
                put.write(content)
                put.finish()
            except EntrepotError:
                put.close()
                raise

        self.attempt(
            f"{who} puts {content!r} at {path} of version {n}",
            who,
            lambda m, w: m.commit(w, n, [entry_model.Add(path, content)], False, None),
            act,
            doom,
        )

    def _send(self, n: int, who: str, doom: Doom | None) -> None:
        """An upload of its own, then a commit that names it."""
        self.lived.operations += 3
        self.put_into(n, who, [entry_model.Add(self.chance.choice(PATHS), self.chance.randbytes(6))], None, doom)

    def _send_together(self, n: int, who: str, doom: Doom | None) -> None:
        files = {path: self._content() for path in self.chance.sample(PATHS, self.chance.randint(1, 4))}
        self.send_together(n, who, files, commits=self.chance.choice(_COMMITS), doom=doom)

    def _commit(self, n: int, who: str, doom: Doom | None) -> None:
        record = self.model.records.get(n)
        shapes: list[entry_model.Change] = [entry_model.Add(self.chance.choice(PATHS), self.chance.choice(CONTENTS))]
        if record is not None and record.head:
            path = self.chance.choice(sorted(record.head))
            shapes = [
                self.chance.choice(
                    [
                        shapes[0],
                        entry_model.Remove(path),
                        entry_model.Rename(path, self.chance.choice(PATHS)),
                        entry_model.Describe(path, self.chance.choice(["", "m", "n"])),
                    ]
                )
            ]
        expected = None if record is None else self.chance.choice([None, record.newest, record.newest + 1])
        self.put_into(n, who, shapes, expected, doom, by_digest=True)

    def _restore(self, n: int, who: str, doom: Doom | None) -> None:
        to = self.chance.randrange(self.newest(n) + 1)
        self.attempt(
            f"{who} restores version {n} to {to}",
            who,
            lambda m, w: m.restore(w, n, to, None),
            lambda depot, actor: entries.restore(depot, actor, n, to),
            doom,
        )

    def _merge(self, n: int, who: str, doom: Doom | None) -> None:
        source = self.chance.choice(sorted(self.model.records) or [0])
        delete, hard = self.chance.random() < 0.3, self.chance.random() < 0.5
        self.attempt(
            f"{who} merges version {source} into {n}, delete {delete}, hard {hard}",
            who,
            lambda m, w: m.merge(w, n, source, delete=delete, hard=hard),
            lambda depot, actor: copies.merge(depot, actor, n, source, delete=delete, hard=hard),
            doom,
        )

    def _copy(self, n: int, who: str, doom: Doom | None) -> None:
        if len(self.model.records) < MOST_VERSIONS:
            revision = self.chance.randrange(self.newest(n) + 1)
            self.copy_of(n, who, revision, None, self.chance.choice(NAMES), Numbering.NEXT, None, doom)

    def _leave(self, n: int, who: str, doom: Doom | None) -> None:
        """To the trash, back, or for good."""
        record = self.model.records.get(n)
        if record is None:
            return
        if record.trash is None:
            self.attempt(
                f"{who} puts version {n} into the trash",
                who,
                lambda m, w: m.trash(w, [n], many=False),
                lambda depot, actor: trash.trash(depot, actor, n),
                doom,
            )
        else:
            self.attempt(
                f"{who} purges version {n}",
                who,
                lambda m, w: m.purge(w, n),
                lambda depot, actor: trash.purge(depot, actor, n),
                doom,
            )

    # --- what is otherwise than in a short life -----------------------------------------------------------------------

    def tell(self, said: str) -> None:
        self.told.append(said)

    def looks(self) -> bool:
        self._since_look = (self._since_look + 1) % _LOOK
        return self._since_look == 0

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
        def counted(depot: Depot, actor: Actor) -> Any:
            self.lived.operations += 1
            return act(depot, actor)

        if doom is not None and self.chance.randrange(_DOOM):
            doom = None
        return super().attempt(said, who, change, counted, doom, repeats=repeats)

    def rise(
        self,
        said: str,
        before: Model,
        after: Model,
        again: Any,
        actor: Actor,
        doom: Doom,
    ) -> None:
        with self.keeper.lock:
            self.lived.deaths += 1
            self.lived.power_cuts += doom.power is not None
            super().rise(said, before, after, again, actor, doom)

    def die(self, power: int | None) -> None:
        if self.chance.randrange(_DOOM):
            return
        with self.keeper.lock:
            self.lived.deaths += 1
            self.lived.power_cuts += power is not None
            super().die(power)

    def everything_is_shown(self, said: str = "looking at everything") -> None:
        with self.keeper.lock:
            super().everything_is_shown(said)

    def look(self, data: Any) -> None:
        self.lived.operations += 1
        super().look(data)

    def resolve(self, who: str | None, project: str, dataset: str, number: int | None) -> None:
        self.lived.operations += 1
        super().resolve(who, project, dataset, number)

    def search(self, who: str | None, query: str) -> None:
        self.lived.operations += 1
        super().search(who, query)

    def list_what_one_may_see(self, who: str | None) -> None:
        self.lived.operations += 1
        super().list_what_one_may_see(who)

    def sign(self, who: str | None, data: Any, hours: int) -> None:
        self.lived.operations += 1
        super().sign(who, data, hours)

    def open_link(self, data: Any) -> None:
        self.lived.operations += 1
        super().open_link(data)


_Quick = Callable[[LongLife, int, str, Doom | None], None]
_CHOSEN: Final[tuple[tuple[_Quick, int], ...]] = (
    (LongLife._read, 30),
    (LongLife._list, 12),
    (LongLife._usage, 6),
    (LongLife._fetch_together, 6),
    (LongLife._put, 12),
    (LongLife._send, 5),
    (LongLife._send_together, 6),
    (LongLife._commit, 12),
    (LongLife._restore, 4),
    (LongLife._merge, 3),
    (LongLife._copy, 4),
    (LongLife._leave, 3),
)
_QUICK: Final = [step for step, _ in _CHOSEN]
_WEIGHTS: Final = [weight for _, weight in _CHOSEN]


def run_lives(
    operations: int, seed: int, shared: Path, *, until: float | None = None, steps: int = _STEPS, each: Any = None
) -> Lived:
    """Live until so much was done. A life that fails is over and the next one begins: what is rare is counted, too.

    Args:
        shared: A folder for what all lives have in common.
        until: Or until this time of `time.monotonic`.
        each: Called with what was done so far, after every life.
    """
    lived, since, number = Lived(), time.monotonic(), 0
    while lived.operations < operations and (until is None or time.monotonic() < until):
        chance = random.Random(f"{seed} {number}")
        life = LongLife(Dice(chance), chance, lived, shared)
        try:
            life.live(steps)
        except (Exception, Crash) as error:
            steps_told = "\n".join(life.told)
            lived.failures.append(f"seed {seed}, life {number}: {error!r}\nafter\n{steps_told}")
        number += 1
        lived.seconds = time.monotonic() - since
        if each is not None:
            each(lived)
        if len(lived.failures) == _ENOUGH:
            break
    return lived
