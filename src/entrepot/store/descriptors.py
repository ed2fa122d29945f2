"""A bounded set of open objects, so that random reads in packs need not open a file each (7 against 23 microseconds).

A descriptor must not be closed while another thread is about to read from it: the number would by then belong to
another file, and the reader would serve that file's bytes. No read here takes a lock for that. Instead a descriptor is
an object that closes itself when the last reference goes: the cache holds one, every reader holds one, and a read in
progress holds one in its own frame.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from entrepot.store.disk import Disk

__all__ = ["Descriptor", "DescriptorCache"]


class Descriptor:
    """An open object and its size in bytes; closed when nobody refers to it any more."""

    __slots__ = ("_disk", "fd", "size")

    def __init__(self, disk: Disk, fd: int) -> None:
        self._disk = disk
        self.fd = fd
        self.size = disk.stat(fd).st_size

    def __del__(self) -> None:
        self._disk.close(self.fd)


class DescriptorCache:
    """The most recently used descriptors by key. Safe for any number of threads.

    Args:
        limit: Descriptors kept; those that readers hold beyond it stay open as long as they hold them.
        open_: Opens the object of a key; its errors pass through.
    """

    def __init__(self, limit: int, open_: Callable[[str], Descriptor], disk: Disk) -> None:
        self._limit = limit
        self._open = open_
        self._disk = disk
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Descriptor] = OrderedDict()

    def get(self, key: str) -> Descriptor:
        """The open object. One that another process deleted meanwhile is noticed and asked for anew."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if found is not None:
            if self._exists(found):
                return found
            self.forget(key)
        # Outside the lock: opening can wait for the disk. Two threads may open the same object; one is kept.
        opened = self._open(key)
        with self._lock:
            self._kept[key] = opened
            self._kept.move_to_end(key)
            dropped = self._kept.popitem(last=False) if len(self._kept) > self._limit else None
        # Dropped after the lock, because closing a deleted object can take the file system a while.
        del dropped
        return opened

    def forget(self, key: str) -> None:
        with self._lock:
            dropped = self._kept.pop(key, None)
        del dropped

    def clear(self) -> None:
        with self._lock:
            dropped, self._kept = self._kept, OrderedDict()
        del dropped

    def drop_deleted(self) -> None:
        """Let go of objects that another process deleted: their space is not free as long as they are open here."""
        with self._lock:
            kept = list(self._kept.items())
        for key, descriptor in kept:
            if not self._exists(descriptor):
                self.forget(key)

    def __len__(self) -> int:
        return len(self._kept)

    def _exists(self, descriptor: Descriptor) -> bool:
        return self._disk.stat(descriptor.fd).st_nlink > 0
