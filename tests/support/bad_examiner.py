"""A nursery of examiners whose copies misbehave as the file tells them to."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from typing import NoReturn

from entrepot.datatypes.examine import examine
from entrepot.datatypes.reading import Source
from entrepot.datatypes.registry import Registry
from entrepot.model.data_types import Report


def work(source: Source, data_type: str | None, registry: Registry, seconds: float) -> Report:
    order = source.read_at(0, 20)
    if order.startswith(b"endless"):
        while True:
            pass
    if order.startswith(b"asleep"):
        time.sleep(600)
    if order.startswith(b"bomb"):
        hoard = bytearray(4 << 30)
        del hoard
    if order.startswith(b"crash"):
        os.abort()
    if order.startswith(b"writes"):
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
    if order.startswith(b"liar"):
        lie(source)
    return examine(source, data_type, registry, seconds=seconds)


def lie(source: Source) -> NoReturn:
    pair: socket.socket = source._pair  # type: ignore[attr-defined]
    pair.sendall(b"D" + (5).to_bytes(4, "little") + b"[[[[[")
    os._exit(0)
