"""The promises of `entrepot.store.base`, as tests that every backend inherits.

    class TestMyStore(ObjectStoreContract):
        @pytest.fixture
        def store(self, tmp_path): return MyStore(tmp_path)

    class TestMyStaging(StagingContract):
        @pytest.fixture
        def store(self, tmp_path): return MyStore(tmp_path)      # with .staging

        @pytest.fixture
        def staging(self, store): return store.staging

Override `reopen` where opening again means more than using the same value again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from entrepot.model.digests import EMPTY
from entrepot.model.errors import Conflict, Invalid, InvalidName, NotFound, WrongState
from entrepot.store.base import Block, ObjectStore, Stage, Staging, boot_id
from entrepot.store.hashing import digests_of
from entrepot.testing.sealing_contract import SealingContract

__all__ = ["KEYS", "ObjectStoreContract", "StagingContract", "content_of", "dice", "in_blocks", "read_all"]

KEYS = tuple(f"{n:032x}" for n in (0x0F, 0x10 << 120, 0xAB << 120 | 7, 0xAB << 120 | 8))
"""Valid keys; two of them share their first digits."""

BAD_KEYS = ("", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "../" + "0" * 29, "0" * 31 + "/", "0" * 31 + "\n", "٠" * 32)

KEY, OTHER_KEY = KEYS[0], KEYS[1]


def content_of(size: int, seed: int = 1) -> bytes:
    """`size` bytes that look random and are always the same."""
    return dice(seed).randbytes(size)


def dice(seed: int) -> random.Random:
    """Choices that are the same in every run."""
    return random.Random(seed)  # noqa: S311


def read_all(store: ObjectStore, key: str) -> bytes:
    """The whole object; tests only use small ones."""
    with store.open(key) as reader:
        return reader.read_at(0, reader.size)


def in_blocks(content: bytes, size: int) -> Iterator[bytes]:
    """The content cut into blocks of `size` bytes, the last one shorter."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


class ObjectStoreContract:
    """What every `ObjectStore` promises. Give the fixture `store`: empty, and fresh for each test."""

    READS = 200  # random ones of a test; fewer where each is a request to a slow server

    @pytest.fixture
    def reopen(self, store: ObjectStore) -> Callable[[], ObjectStore]:
        """The same store as a new process would open it."""
        return lambda: store

    @pytest.mark.parametrize("size", [0, 1, 4096, 1_000_003])
    def test_what_was_put_is_what_is_read(self, store: ObjectStore, size: int) -> None:
        content = content_of(size)
        store.put(KEY, in_blocks(content, 65_536))
        assert read_all(store, KEY) == content

    def test_put_returns_the_digests_of_all_blocks(self, store: ObjectStore) -> None:
        content = content_of(300_000)
        assert store.put(KEY, in_blocks(content, 7_777)) == digests_of([content])

    def test_an_object_may_be_made_of_no_blocks_and_of_empty_ones(self, store: ObjectStore) -> None:
        assert store.put(KEY, []) == EMPTY
        assert store.put(OTHER_KEY, [b"", b"x", b""]).size == 1
        assert store.stat(KEY) == 0

    def test_a_caller_may_fill_the_same_buffer_again(self, store: ObjectStore) -> None:
        def blocks() -> Iterator[Block]:
            buffer = bytearray(4)
            for letter in b"abc":
                buffer[:] = bytes([letter]) * 4
                yield buffer
                yield memoryview(buffer)[:2]

        store.put(KEY, blocks())
        assert read_all(store, KEY) == b"aaaaaabbbbbbcccccc"

    def test_an_existing_object_is_never_replaced(self, store: ObjectStore) -> None:
        store.put(KEY, [b"first"])
        with pytest.raises(Conflict):
            store.put(KEY, [b"second"])
        assert read_all(store, KEY) == b"first"

    def test_a_put_whose_blocks_fail_leaves_nothing_and_may_be_repeated(self, store: ObjectStore) -> None:
        def blocks() -> Iterator[bytes]:
            yield b"half"
            raise ConnectionResetError("the sender went away")

        with pytest.raises(ConnectionResetError):
            store.put(KEY, blocks())
        assert store.stat(KEY) is None
        assert list(store.keys()) == []
        store.put(KEY, [b"whole"])
        assert read_all(store, KEY) == b"whole"

    def test_of_concurrent_puts_of_one_key_exactly_one_wins(self, store: ObjectStore) -> None:
        contents = [content_of(50_000, seed) for seed in range(8)]
        gate = threading.Barrier(len(contents))

        def put(content: bytes) -> bool:
            gate.wait()
            try:
                store.put(KEY, in_blocks(content, 10_000))
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(len(contents)) as pool:
            won = list(pool.map(put, contents))
        assert won.count(True) == 1
        assert read_all(store, KEY) == contents[won.index(True)]

    def test_an_absent_object_is_not_found(self, store: ObjectStore) -> None:
        with pytest.raises(NotFound):
            store.open(KEY)
        assert store.stat(KEY) is None

    def test_a_deleted_object_is_gone(self, store: ObjectStore) -> None:
        store.put(KEY, [b"x"])
        read_all(store, KEY)
        store.delete(KEY)
        assert store.stat(KEY) is None
        assert list(store.keys()) == []
        with pytest.raises(NotFound):
            store.open(KEY)

    def test_deleting_what_is_not_there_is_fine(self, store: ObjectStore) -> None:
        store.delete(KEY)
        store.put(KEY, [b"x"])
        store.delete(KEY)
        store.delete(KEY)
        assert store.stat(KEY) is None

    def test_deleting_one_object_leaves_the_others(self, store: ObjectStore) -> None:
        for key in KEYS:
            store.put(key, [key.encode()])
        store.delete(KEYS[2])
        assert set(store.keys()) == set(KEYS) - {KEYS[2]}
        assert read_all(store, KEYS[3]) == KEYS[3].encode()

    def test_a_reader_never_gives_other_bytes_after_a_delete(self, store: ObjectStore) -> None:
        content = content_of(10_000)
        store.put(KEY, [content])
        with store.open(KEY) as reader:
            store.delete(KEY)
            store.put(OTHER_KEY, [content_of(10_000, seed=2)])
            try:
                found = reader.read_at(0, 10_000)
            except NotFound:
                found = content
        assert found == content

    def test_stat_gives_the_size(self, store: ObjectStore) -> None:
        store.put(KEY, [b"12345"])
        assert store.stat(KEY) == 5

    def test_keys_lists_every_object_once(self, store: ObjectStore) -> None:
        for key in KEYS:
            store.put(key, [b"x"])
        assert sorted(store.keys()) == sorted(KEYS)

    def test_every_read_inside_the_object_is_whole(self, store: ObjectStore) -> None:
        content = content_of(100_000)
        store.put(KEY, [content])
        spans = dice(3)
        with store.open(KEY) as reader:
            assert reader.size == len(content)
            for _ in range(self.READS):
                start = spans.randrange(len(content))
                length = spans.randrange(len(content) - start + 1)
                assert reader.read_at(start, length) == content[start : start + length]

    def test_a_read_at_once_gives_the_same_bytes_or_nothing(self, store: ObjectStore) -> None:
        content = content_of(100_000)
        store.put(KEY, [content])
        with store.open(KEY) as reader:
            for start, length in ((0, 100_000), (99_999, 1), (12_345, 4096)):
                found = reader.read_now(start, length)
                assert found is None or found == content[start : start + length]
            # What is not wholly inside is left to `read_at`, which says why.
            for start, length in ((99_999, 2), (100_000, 1), (-1, 1), (0, -1)):
                assert reader.read_now(start, length) is None
        assert reader.read_now(0, 1) is None

    def test_a_read_over_the_end_gives_what_lies_before_it(self, store: ObjectStore) -> None:
        store.put(KEY, [b"0123456789"])
        with store.open(KEY) as reader:
            assert reader.read_at(7, 100) == b"789"
            assert reader.read_at(10, 1) == b""
            assert reader.read_at(1 << 40, 1) == b""
            assert reader.read_at(3, 0) == b""

    @pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (-5, -5)])
    def test_a_negative_offset_or_length_is_refused(self, store: ObjectStore, offset: int, length: int) -> None:
        store.put(KEY, [b"0123456789"])
        with store.open(KEY) as reader, pytest.raises(Invalid):
            reader.read_at(offset, length)

    def test_a_closed_reader_refuses_and_may_be_closed_again(self, store: ObjectStore) -> None:
        store.put(KEY, [b"x"])
        reader = store.open(KEY)
        reader.close()
        reader.close()
        with pytest.raises(WrongState):
            reader.read_at(0, 1)

    def test_threads_that_open_read_and_close_each_get_their_own_object(self, store: ObjectStore) -> None:
        contents = {key: content_of(20_000, seed) for seed, key in enumerate(KEYS)}
        for key, content in contents.items():
            store.put(key, [content])

        def read(seed: int) -> None:
            chosen = dice(seed)
            for _ in range(self.READS // 2):
                key, start = chosen.choice(KEYS), chosen.randrange(20_000)
                with store.open(key) as reader:
                    assert reader.read_at(start, 500) == contents[key][start : start + 500]

        with ThreadPoolExecutor(8) as pool:
            assert len(list(pool.map(read, range(8)))) == 8

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_key_that_is_not_ours_is_refused_everywhere(self, store: ObjectStore, key: str) -> None:
        for call in (store.open, store.stat, store.delete, lambda bad: store.put(bad, [])):
            with pytest.raises(InvalidName):
                call(key)

    def test_a_healthy_store_can_be_probed_and_stays_as_it_was(self, store: ObjectStore) -> None:
        store.put(KEY, [b"x"])
        store.probe()
        assert list(store.keys()) == [KEY]

    def test_objects_outlive_the_process(self, store: ObjectStore, reopen: Callable[[], ObjectStore]) -> None:
        store.put(KEY, [b"kept"])
        assert read_all(reopen(), KEY) == b"kept"


class StagingContract(SealingContract):
    """What every `Staging` promises. Give the fixtures `store` and `staging`; the second places into the first."""

    @pytest.fixture
    def reopen(self, staging: Staging) -> Callable[[], Staging]:
        """The same staging as a new process would open it."""
        return lambda: staging

    # ------------------------------------------------------------------ receiving

    def test_a_new_stage_is_empty(self, staging: Staging) -> None:
        with staging.create(KEY) as stage:
            assert (stage.key, stage.size, stage.durable) == (KEY, 0, 0)
            assert stage.digests() == EMPTY
        assert list(staging.keys()) == [KEY]

    def test_digests_cover_everything_received_so_far(self, staging: Staging) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"abc")
            assert stage.digests() == digests_of([b"abc"])
            stage.write(b"def")
            assert stage.digests() == digests_of([b"abcdef"])
            assert stage.size == 6

    def test_any_contiguous_buffer_is_a_block_and_may_be_filled_again(
        self, staging: Staging, store: ObjectStore
    ) -> None:
        buffer = bytearray(b"abcdefgh")
        with staging.create(KEY) as stage:
            stage.write(buffer)
            stage.write(memoryview(buffer)[2:4])
            buffer[:] = b"zzz"
            stage.write(memoryview(bytearray(8)).cast("I"))
            stage.write(b"")
            assert stage.size == 18
            stage.place()
        assert read_all(store, KEY) == b"abcdefghcd" + bytes(8)

    def test_a_key_can_be_created_once(self, staging: Staging) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"first")
            with pytest.raises(Conflict):
                staging.create(KEY)
        with pytest.raises(Conflict):
            staging.create(KEY)
        assert staging.stat(KEY, durable=0, boot_id=boot_id()) == 5

    def test_a_key_that_has_an_object_cannot_be_created(self, staging: Staging, store: ObjectStore) -> None:
        store.put(KEY, [b"object"])
        with pytest.raises(Conflict):
            staging.create(KEY)
        assert list(staging.keys()) == []

    def test_of_concurrent_creators_of_one_key_exactly_one_wins(self, staging: Staging) -> None:
        gate = threading.Barrier(8)

        def create(_: int) -> Stage | None:
            gate.wait()
            try:
                return staging.create(KEY)
            except Conflict:
                return None

        with ThreadPoolExecutor(8) as pool:
            stages = [stage for stage in pool.map(create, range(8)) if stage is not None]
        assert len(stages) == 1
        stages[0].write(b"mine")
        stages[0].release()

    def test_sync_says_how_much_is_durable(self, staging: Staging) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"12345")
            assert stage.durable == 0
            assert stage.sync() == 5
            stage.write(b"678")
            assert stage.durable == 5
            assert stage.sync() == stage.durable == 8

    def test_sync_may_run_beside_write(self, staging: Staging, store: ObjectStore) -> None:
        content = content_of(2_000_000)
        done = threading.Event()
        offsets: list[int] = []

        def keep_syncing(stage: Stage) -> None:
            while not done.is_set():
                offsets.append(stage.sync())

        with staging.create(KEY) as stage, ThreadPoolExecutor(1) as pool:
            syncing = pool.submit(keep_syncing, stage)
            for block in in_blocks(content, 20_000):
                stage.write(block)
            done.set()
            syncing.result()
            assert offsets == sorted(offsets)
            stage.place()
        assert read_all(store, KEY) == content

    # ------------------------------------------------------------------ placing

    @pytest.mark.parametrize("size", [0, 1, 3_000_001])
    def test_a_placed_stage_is_an_object_and_no_stage(self, staging: Staging, store: ObjectStore, size: int) -> None:
        content = content_of(size)
        with staging.create(KEY) as stage:
            for block in in_blocks(content, 100_000):
                stage.write(block)
            assert stage.place() == digests_of([content])
            assert stage.durable == size
        assert read_all(store, KEY) == content
        assert list(staging.keys()) == []

    def test_before_it_is_placed_there_is_no_object(self, staging: Staging, store: ObjectStore) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"half")
            stage.sync()
            assert store.stat(KEY) is None
            with pytest.raises(NotFound):
                store.open(KEY)

    def test_place_may_be_repeated(self, staging: Staging, store: ObjectStore) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"once")
            first = stage.place()
            assert stage.place() == first
            assert stage.digests() == first
            assert stage.sync() == 4
        assert read_all(store, KEY) == b"once"

    def test_place_may_be_repeated_by_somebody_who_does_not_know_of_the_first(
        self, staging: Staging, store: ObjectStore, reopen: Callable[[], Staging]
    ) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"once")
            first = stage.place()
        with reopen().resume(KEY, durable=0, boot_id=boot_id()) as again:
            assert (again.size, again.durable) == (4, 4)
            assert again.place() == first
        assert read_all(store, KEY) == b"once"

    def test_a_placed_stage_takes_no_more_bytes(self, staging: Staging, store: ObjectStore) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"all")
            stage.place()
            with pytest.raises(WrongState):
                stage.write(b"more")
        with staging.resume(KEY, durable=0, boot_id=boot_id()) as again, pytest.raises(WrongState):
            again.write(b"more")
        assert read_all(store, KEY) == b"all"

    def test_place_never_replaces_an_object(self, staging: Staging, store: ObjectStore) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"staged")
            store.put(KEY, [b"object"])
            with pytest.raises(Conflict):
                stage.place()
            assert staging.stat(KEY, durable=0, boot_id=boot_id()) == 6
            assert stage.digests() == digests_of([b"staged"])
        assert read_all(store, KEY) == b"object"
        staging.discard(KEY)
        assert read_all(store, KEY) == b"object"

    # ------------------------------------------------------------------ resuming

    def test_a_released_stage_continues_where_it_was(
        self, staging: Staging, store: ObjectStore, reopen: Callable[[], Staging]
    ) -> None:
        first, second = content_of(700_000, 1), content_of(300_000, 2)
        with staging.create(KEY) as stage:
            stage.write(first)
        with reopen().resume(KEY, durable=0, boot_id=boot_id()) as stage:
            assert stage.size == len(first)
            stage.write(second)
            assert stage.digests() == digests_of([first, second])
            assert stage.place() == digests_of([first, second])
        assert read_all(store, KEY) == first + second

    def test_a_long_past_is_hashed_again_while_new_blocks_arrive(
        self, staging: Staging, reopen: Callable[[], Staging]
    ) -> None:
        content = content_of(1_000_000) * 12
        with staging.create(KEY) as stage:
            stage.write(content)
        with reopen().resume(KEY, durable=0, boot_id=boot_id()) as stage:
            for block in in_blocks(content, 500_000):
                stage.write(block)
            assert stage.digests() == digests_of([content, content])

    def test_after_a_power_cut_it_continues_at_the_durable_offset(self, staging: Staging, store: ObjectStore) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"durable")
            durable = stage.sync()
            stage.write(b" or not")
        assert staging.stat(KEY, durable=durable, boot_id="another boot") == durable
        with staging.resume(KEY, durable=durable, boot_id="another boot") as stage:
            assert (stage.size, stage.durable) == (durable, durable)
            stage.write(b"!")
            assert stage.place() == digests_of([b"durable!"])
        assert read_all(store, KEY) == b"durable!"

    def test_after_a_power_cut_before_the_first_sync_it_continues_at_the_start(self, staging: Staging) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"never synced")
        with staging.resume(KEY, durable=0, boot_id="another boot") as stage:
            assert stage.size == 0
            assert stage.digests() == EMPTY

    def test_a_recorded_offset_beyond_the_bytes_is_not_believed(self, staging: Staging) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"short")
        for boot in (boot_id(), "another boot"):
            assert staging.stat(KEY, durable=99, boot_id=boot) == 5
            with staging.resume(KEY, durable=99, boot_id=boot) as stage:
                assert (stage.size, stage.durable) == (5, 5)

    def test_what_never_was_cannot_be_resumed(self, staging: Staging) -> None:
        with pytest.raises(NotFound):
            staging.resume(KEY, durable=0, boot_id=boot_id())
        assert staging.stat(KEY, durable=0, boot_id=boot_id()) is None

    def test_a_held_stage_is_not_given_to_a_second(self, staging: Staging, reopen: Callable[[], Staging]) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"x")
            with pytest.raises(Conflict) as caught:
                reopen().resume(KEY, durable=0, boot_id=boot_id())
            assert caught.value.details["retry"] is True
            with pytest.raises(Conflict):
                staging.resume(KEY, durable=0, boot_id="another boot")
            assert stage.size == 1
        with staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:
            assert stage.size == 1

    def test_of_concurrent_resumers_one_holds_at_a_time(self, staging: Staging, store: ObjectStore) -> None:
        staging.create(KEY).release()
        gate = threading.Barrier(6)

        def append(letter: int) -> int:
            gate.wait()
            written = 0
            while written < 20:
                try:
                    stage = staging.resume(KEY, durable=0, boot_id=boot_id())
                except Conflict:
                    continue
                with stage:
                    stage.write(bytes([letter]) * 3)
                    written += 1
            return letter

        with ThreadPoolExecutor(6) as pool:
            letters = list(pool.map(append, b"abcdef"))
        with staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:
            assert stage.size == 6 * 20 * 3
            stage.place()
        content = read_all(store, KEY)
        threes = [content[at : at + 3] for at in range(0, len(content), 3)]
        assert sorted(threes) == sorted(bytes([letter]) * 3 for letter in letters for _ in range(20))

    def test_stat_says_where_to_go_on_without_holding(self, staging: Staging) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"abc")
            assert staging.stat(KEY, durable=0, boot_id=boot_id()) == 3
            stage.write(b"def")
            assert staging.stat(KEY, durable=0, boot_id=boot_id()) == 6
            stage.place()
        assert staging.stat(KEY, durable=0, boot_id=boot_id()) == 6

    # ------------------------------------------------------------------ ending

    def test_release_may_be_repeated_and_ends_the_handle(self, staging: Staging) -> None:
        stage = staging.create(KEY)
        stage.release()
        stage.release()
        for call in (lambda: stage.write(b"x"), stage.sync, stage.digests, stage.place):
            with pytest.raises(WrongState):
                call()
        assert list(staging.keys()) == [KEY]

    def test_a_discarded_stage_is_gone_and_its_key_free(self, staging: Staging) -> None:
        stage = staging.create(KEY)
        stage.write(b"x")
        stage.discard()
        stage.discard()
        assert list(staging.keys()) == []
        assert staging.stat(KEY, durable=0, boot_id=boot_id()) is None
        with pytest.raises(WrongState):
            stage.write(b"y")
        staging.create(KEY).release()

    def test_discard_after_place_keeps_the_object(self, staging: Staging, store: ObjectStore) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"kept")
            stage.place()
            stage.discard()
        with staging.resume(KEY, durable=0, boot_id=boot_id()) as again:
            again.discard()
        staging.discard(KEY)
        assert read_all(store, KEY) == b"kept"

    def test_discard_after_release_does_not_touch_what_somebody_else_holds(self, staging: Staging) -> None:
        first = staging.create(KEY)
        first.release()
        with staging.resume(KEY, durable=0, boot_id=boot_id()) as second:
            first.discard()
            second.write(b"still here")
        assert staging.stat(KEY, durable=0, boot_id=boot_id()) == 10

    def test_discarding_by_key_needs_no_hold_and_no_stage(self, staging: Staging) -> None:
        staging.discard(KEY)
        staging.create(KEY).release()
        staging.discard(KEY)
        staging.discard(KEY)
        assert list(staging.keys()) == []

    def test_a_stage_discarded_under_its_holder_never_becomes_an_object(
        self, staging: Staging, store: ObjectStore
    ) -> None:
        with staging.create(KEY) as stage:
            stage.write(b"x")
            staging.discard(KEY)
            with pytest.raises(NotFound):
                stage.place()
        assert store.stat(KEY) is None
        assert list(staging.keys()) == []

    def test_keys_lists_what_is_staged_and_nothing_else(self, staging: Staging, store: ObjectStore) -> None:
        for key in KEYS[:3]:
            staging.create(key).release()
        store.put(KEYS[3], [b"x"])
        assert sorted(staging.keys()) == sorted(KEYS[:3])
        assert list(store.keys()) == [KEYS[3]]

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_key_that_is_not_ours_is_refused_everywhere(self, staging: Staging, key: str) -> None:
        calls: list[Callable[[str], Any]] = [
            staging.create,
            staging.discard,
            lambda bad: staging.resume(bad, durable=0, boot_id=boot_id()),
            lambda bad: staging.stat(bad, durable=0, boot_id=boot_id()),
        ]
        for call in calls:
            with pytest.raises(InvalidName):
                call(key)
