"""What every `Staging` promises to whoever checks the parts of an upload and needs no digests of the whole.

A part of `store_contract.StagingContract`, with the same fixtures.
"""

from __future__ import annotations

import pytest

from entrepot.model.errors import NotFound, WrongState
from entrepot.store.base import ObjectStore, Staging
from entrepot.store.hashing import digests_of

__all__ = ["SealingContract"]

KEY = "5ea1" * 8


class SealingContract:
    """Mixed into `StagingContract`."""

    def test_a_sealed_stage_is_an_object_whoever_hashed_it(self, staging: Staging, store: ObjectStore) -> None:
        with staging.create(KEY, hashed=False) as stage:
            stage.write(b"abc")
            stage.write(b"def")
            assert stage.seal() == 6
            assert stage.durable == 6
            assert stage.seal() == 6
            with pytest.raises(WrongState):
                stage.write(b"more")
        with store.open(KEY) as reader:
            assert reader.read_at(0, reader.size) == b"abcdef"
        assert list(staging.keys()) == []

    def test_digests_are_made_afterwards_where_nothing_was_hashed_on_the_way(self, staging: Staging) -> None:
        with staging.create(KEY, hashed=False) as stage:
            stage.write(b"abc")
            assert stage.digests() == digests_of([b"abc"])
            stage.write(b"def")
            assert stage.place() == digests_of([b"abcdef"])

    def test_a_discarded_stage_cannot_be_sealed(self, staging: Staging, store: ObjectStore) -> None:
        stage = staging.create(KEY, hashed=False)
        stage.write(b"abc")
        staging.discard(KEY)
        with pytest.raises(NotFound):
            stage.seal()
        stage.release()
        assert store.stat(KEY) is None
