"""Every backend for bytes keeps the promises of `entrepot.store.base`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.store.filesystem import FilesystemStore
from entrepot.store.filesystem_staging import FilesystemStaging
from entrepot.store.memory import MemoryStaging, MemoryStore
from entrepot.testing.store_contract import ObjectStoreContract, StagingContract


class OnDisk:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[FilesystemStore]:
        store = FilesystemStore(tmp_path / "store")
        yield store
        store.close()


class InMemory:
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class TestFilesystemStore(OnDisk, ObjectStoreContract):
    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Callable[[], FilesystemStore]:
        return lambda: FilesystemStore(tmp_path / "store")


class TestFilesystemStoreThatKeepsOneFileOpen(ObjectStoreContract):
    """Descriptors are dropped all the time here, also under the threads that read from them."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FilesystemStore:
        return FilesystemStore(tmp_path / "store", open_files=1)


class TestMemoryStore(InMemory, ObjectStoreContract):
    pass


class TestFilesystemStaging(OnDisk, StagingContract):
    @pytest.fixture
    def staging(self, store: FilesystemStore) -> FilesystemStaging:
        return store.staging

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Callable[[], FilesystemStaging]:
        return lambda: FilesystemStore(tmp_path / "store").staging


class TestMemoryStaging(InMemory, StagingContract):
    @pytest.fixture
    def staging(self, store: MemoryStore) -> MemoryStaging:
        return store.staging
