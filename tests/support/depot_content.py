"""Steps of the depot's machine: what is in versions, and how bytes come in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from entrepot.depot import copies, entries, packing, putting, uploads
from entrepot.depot.context import Depot
from entrepot.depot.putting import NewFile
from entrepot.depot.remembered import Remembered
from entrepot.depot.uploads import NewUpload
from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError
from entrepot.model.values import Numbering
from entrepot.wire import frames
from tests.support import entry_model
from tests.support.depot_facts import UPLOAD_LIFETIME, Sending
from tests.support.depot_life import (
    DATA,
    MOST_VERSIONS,
    NAMES,
    Doom,
    Life,
    changes,
    contents,
    dooms,
    fresh,
    kind,
    numberings,
    often_doomed,
    paths,
    people,
    sometimes_doomed,
    texts,
)
from tests.support.entry_model import Refused


class Content(Life):
    @kind(
        "content",
        3,
        when=lambda self: len(self.model.records) < MOST_VERSIONS,
        who=people,
        data=DATA,
        name=st.sampled_from([None, *NAMES]),
        numbering=numberings,
        only=st.none() | st.lists(paths, max_size=3),
        elsewhere=st.booleans(),
        doom=sometimes_doomed,
    )
    def copy(
        self,
        who: str | None,
        data: st.DataObject,
        name: str | None,
        numbering: Numbering,
        only: list[str] | None,
        elsewhere: bool,
        doom: Doom | None,
    ) -> None:
        n = self.some_record(data)
        home = self.some_home(data) if elsewhere else None
        revision = data.draw(st.none() | st.integers(0, self.newest(n) + 1))
        self.copy_of(n, who, revision, home, name, numbering, only, doom)

    def copy_of(
        self,
        n: int,
        who: str | None,
        revision: int | None,
        home: int | None,
        name: str | None,
        numbering: Numbering,
        only: list[str] | None,
        doom: Doom | None,
    ) -> None:
        self.attempt(
            f"{who} copies version {n}@{revision} to project {home} as {name} ({numbering.value}), only {only}",
            who,
            lambda m, w: m.copy_version(w, n, revision, home, name, numbering, only),
            lambda depot, actor: copies.copy(
                depot, actor, n, revision=revision, project=home, name=name, numbering=numbering, only_paths=only
            ),
            doom,
        )

    # ------------------------------------------------------------------ entries

    @kind("content", 4, who=people, data=DATA, shapes=st.lists(changes, min_size=1, max_size=4), doom=sometimes_doomed)
    def commit(self, who: str | None, data: st.DataObject, shapes: list[entry_model.Change], doom: Doom | None) -> None:
        n = self.some_record(data)
        expected = data.draw(st.sampled_from([None, None, self.newest(n), self.newest(n), self.newest(n) + 1]))
        self.put_into(n, who, shapes, expected, doom, by_digest=data.draw(st.booleans()))

    @kind(
        "content", 3, who=people, data=DATA, files=st.dictionaries(paths, contents, max_size=4), doom=sometimes_doomed
    )
    def put_some(self, who: str | None, data: st.DataObject, files: dict[str, bytes], doom: Doom | None) -> None:
        """What is not in the way of anything, so that versions grow."""
        n = self.some_record(data)
        here = self.model.records[n].head if n in self.model.records else {}
        fits = [
            entry_model.Add(path, content)
            for path, content in files.items()
            if not any(entry_model.below(path, o) or entry_model.below(o, path) for o in here.keys() | files.keys())
        ]
        self.put_into(n, who, fits, None, doom)

    @kind(
        "content",
        4,
        who=people,
        data=DATA,
        files=st.dictionaries(paths, contents | fresh, min_size=1, max_size=5),
        commits=st.sampled_from(["whole", "forgotten", "one by one", ""]),
        doom=often_doomed,
    )
    def put_together(
        self, who: str | None, data: st.DataObject, files: dict[str, bytes], commits: str, doom: Doom | None
    ) -> None:
        self.send_together(self.some_record(data), who, files, commits=commits, doom=doom)

    def send_together(
        self, n: int, who: str | None, files: dict[str, bytes], *, commits: str, doom: Doom | None
    ) -> None:
        """Small files in one body, which share an object from then on, and mostly a commit that names them.

        Args:
            commits: `whole`: by the batch alone, if all of them fit. `forgotten`: so, by a process that did not receive
                it. `one by one`: each of them that fits. Else nothing is committed.
        """
        body = b"".join(
            frames.header(path, len(content), self.premises.house.sha256(content)) + content
            for path, content in files.items()
        )

        def act(depot: Depot, actor: Actor) -> Any:
            put = packing.put_batch(depot, actor)
            try:
                put.write(body)
                return put.finish().upload
            except EntrepotError:
                put.close()
                raise

        made = self.attempt(
            f"{who} sends {files} together", who, lambda m, w: m.pack(w, body, list(files.values())), act, doom
        )
        if made is not None and commits == "forgotten":
            self.premises.house.depot.remembered = Remembered()
        if made is not None and commits:
            here = self.model.records[n].head if n in self.model.records else {}
            fits = [
                entry_model.Add(path, content)
                for path, content in files.items()
                if not any(entry_model.below(path, o) or entry_model.below(o, path) for o in here.keys() | files.keys())
            ]
            whole = commits != "one by one" and len(fits) == len(files)
            self.put_into(n, who, fits, batch=made.uid, whole=whole)

    def put_into(
        self,
        n: int,
        who: str | None,
        shapes: Sequence[entry_model.Change],
        expected: int | None = None,
        doom: Doom | None = None,
        *,
        by_digest: bool = False,
        batch: UUID | None = None,
        whole: bool = False,
    ) -> None:
        """Commit. Bytes that nobody has sent yet are sent first, or named by their digest alone.

        Args:
            batch: What brought all of them already.
            whole: And nothing else, so that it is enough to name it.
        """
        wishes: list[entries.Change] = []
        missing = False
        try:
            self.model.copy().commit(self.asking(who), n, shapes, False, expected)
        except Refused as refused:
            # What would be sent for nothing is named by its digest.
            by_digest = True
            if self.is_boring(refused):
                return
        named = shapes
        if batch is not None and whole and not by_digest:
            wishes.append(entries.AddBatch(batch))
            named = ()
        for shape in named:
            if not isinstance(shape, entry_model.Add):
                wishes.append(getattr(entries, type(shape).__name__)(*vars(shape).values()))
                continue
            how: dict[str, Any]
            if by_digest or who is None:
                how = {"sha256": self.premises.house.sha256(shape.content)}
                missing = missing or not self.model.readable(self.asking(who), shape.content)
            elif batch is not None:
                how = {"upload": batch, "sha256": self.premises.house.sha256(shape.content)}
            else:
                how = {"upload": self.sent(who, shape.content)}
            wishes.append(entries.Add(shape.path, metadata=shape.meta, condition=shape.condition, **how))
        self.attempt(
            f"{who} commits to version {n} at {expected}: {shapes}" + (" by digest" if by_digest else ""),
            who,
            lambda m, w: m.commit(w, n, shapes, missing, expected),
            lambda depot, actor: entries.commit(depot, actor, n, wishes, expected=expected),
            doom,
        )

    def sent(self, who: str, content: bytes) -> Any:
        """A finished upload of these bytes."""
        found = next(
            (
                one
                for one in self.model.sendings
                if one.finished and (one.owner, one.arrived) == (who, content) and one.expires_at > self.model.now
            ),
            None,
        )
        if found is not None:
            return found.uid
        row = self.premises.house.upload(self.premises.actor(who), content)
        self.model.sendings.append(
            Sending(row.uid, who, content, len(content), True, self.model.now + UPLOAD_LIFETIME, content, finished=True)
        )
        return row.uid

    @kind(
        "content", 4, who=people, data=DATA, clear=st.sampled_from([False, False, False, True]), doom=sometimes_doomed
    )
    def restore_or_clear(self, who: str | None, data: st.DataObject, clear: bool, doom: Doom | None) -> None:
        n = self.some_record(data)
        if clear:
            self.attempt(
                f"{who} clears version {n}",
                who,
                lambda m, w: m.clear(w, n),
                lambda depot, actor: entries.clear(depot, actor, n),
                doom,
            )
            return
        to = data.draw(st.sampled_from([*range(self.newest(n) + 1)] * 4 + [self.newest(n) + 1]))
        expected = data.draw(st.sampled_from([None, None, self.newest(n), self.newest(n) + 1]))
        self.attempt(
            f"{who} restores version {n} to {to} at {expected}",
            who,
            lambda m, w: m.restore(w, n, to, expected),
            lambda depot, actor: entries.restore(depot, actor, n, to, expected=expected),
            doom,
        )

    @kind("content", 3, who=people, data=DATA, delete=st.booleans(), hard=st.booleans(), doom=sometimes_doomed)
    def merge(self, who: str | None, data: st.DataObject, delete: bool, hard: bool, doom: Doom | None) -> None:
        into, source = self.some_record(data), self.some_record(data)
        self.attempt(
            f"{who} merges version {source} into {into}" + f", delete {delete}, hard {hard}",
            who,
            lambda m, w: m.merge(w, into, source, delete=delete, hard=hard),
            lambda depot, actor: copies.merge(depot, actor, into, source, delete=delete, hard=hard),
            doom,
        )

    @kind(
        "content",
        3,
        who=people,
        data=DATA,
        path=paths,
        content=fresh | contents,
        meta=texts,
        condition=st.sampled_from(["any", "any", "absent", "present"]),
        doom=often_doomed,
    )
    def put_file(
        self,
        who: str | None,
        data: st.DataObject,
        path: str,
        content: bytes,
        meta: str | None,
        condition: Any,
        doom: Doom | None,
    ) -> None:
        """The bytes of one file as one body, which become an entry at their last byte."""
        n = self.some_record(data)
        expected = data.draw(st.sampled_from([None, None, self.newest(n), self.newest(n) + 1]))
        new = NewFile(path, metadata=meta, condition=condition, expected=expected)

        def act(depot: Depot, actor: Actor) -> None:
            put = putting.put_file(depot, actor, n, new)
            try:
                if content:
                    put.write(content)
                put.finish()
            except EntrepotError:
                put.close()
                raise

        self.attempt(
            f"{who} puts {content!r} ({meta}) at {path} of version {n} at {expected}, {condition}",
            who,
            lambda m, w: m.commit(w, n, [entry_model.Add(path, content, meta, condition)], False, expected),
            act,
            doom,
        )

    # ------------------------------------------------------------------ uploads

    @kind(
        "uploads",
        2,
        when=lambda self: sum(not one.finished for one in self.model.sendings) < 3,
        who=people,
        data=DATA,
        plan=fresh | contents,
        tells=st.booleans(),
        is_true=st.sampled_from([True, True, True, False]),
        names_project=st.sampled_from([False, False, True]),
        doom=sometimes_doomed,
    )
    def begin_upload(
        self,
        who: str | None,
        data: st.DataObject,
        plan: bytes,
        tells: bool,
        is_true: bool,
        names_project: bool,
        doom: Doom | None,
    ) -> None:
        home = self.some_home(data) if names_project else None
        length = len(plan) if tells else None
        digest = hashlib.sha256(plan if is_true else b"other bytes").digest() if tells or not is_true else None
        self.attempt(
            f"{who} begins an upload of {plan!r}, tells {length}, for {home}",
            who,
            lambda m, w: m.begin(w, plan, length, home, is_true),
            lambda depot, actor: uploads.begin(depot, actor, NewUpload(length, digest, project=home)),
            doom,
        )

    @kind("uploads", 4, who=st.sampled_from(["ann", "bob"]), plan=fresh, doom=dooms)
    def die_at_the_end(self, who: str, plan: bytes, doom: Doom) -> None:
        """Between the last byte and its name lie the steps whose order matters most."""
        begun = self.attempt(
            f"{who} begins an upload of {plan!r}",
            who,
            lambda m, w: m.begin(w, plan, None, None, True),
            lambda depot, actor: uploads.begin(depot, actor, NewUpload()),
        )
        if begun is None:
            return
        uid = begun.uid

        def send(depot: Depot, actor: Actor) -> None:
            with uploads.receive(depot, actor, uid, 0) as receiver:
                receiver.write(plan)

        self.attempt(f"{who} sends it", who, lambda m, w: m.send(w, uid, plan), send)
        self.attempt(
            f"{who} finishes it",
            who,
            lambda m, w: m.finish(w, uid),
            lambda depot, actor: uploads.finish(depot, actor, uid),
            doom,
        )

    @kind(
        "uploads",
        5,
        when=lambda self: self.model.sendings,
        data=DATA,
        what=st.sampled_from(["send", "send", "send", "finish", "finish", "abort"]),
        by=st.sampled_from([None, None, None, None, "dan"]),
        most=st.sampled_from([2, 2, 3]),
        doom=often_doomed,
    )
    def go_on(self, data: st.DataObject, what: str, by: str | None, most: int, doom: Doom | None) -> None:
        unfinished = [one for one in self.model.sendings if not one.finished]
        one = data.draw(st.sampled_from(unfinished * 4 + self.model.sendings[-1:]))
        uid, who = one.uid, by or one.owner
        if what == "send" and one.is_ending:
            what = "finish"
        assert uid is not None
        said = f"{who}: {what} of the upload of {one.plan!r} at {len(one.arrived)}"
        if what == "finish":
            self.attempt(
                said, who, lambda m, w: m.finish(w, uid), lambda depot, actor: uploads.finish(depot, actor, uid), doom
            )
        elif what == "abort":
            self.attempt(
                said, who, lambda m, w: m.abort(w, uid), lambda depot, actor: uploads.abort(depot, actor, uid), doom
            )
        else:
            offset = len(one.arrived)
            # What is sent goes beyond the plan at its end.
            chunk = (one.plan[offset:] or b"!")[:most]

            def act(depot: Depot, actor: Actor) -> None:
                with uploads.receive(depot, actor, uid, offset) as receiver:
                    receiver.write(chunk)

            self.attempt(f"{said}: {chunk!r}", who, lambda m, w: m.send(w, uid, chunk), act, doom)
            # Told by the staged file, under what the row says of it.
            now = next(one for one in self.model.sendings if one.uid == uid)
            found = self.premises.uploads()[uid].received
            assert found == len(now.arrived), f"the upload is at {found} instead of {len(now.arrived)}"
