"""`/datasets`, which means one thing to the old client and another to the current one.

The body tells a creation and a change apart, the prefix of the id the rest: `dset_…` is a frame, `dataset_…` a thing in
a folder. Both are the same version.
"""

from __future__ import annotations

from entrepot.dialects.benchling.context import Asked
from entrepot.dialects.benchling.routes import frames


async def create(asked: Asked) -> None:
    await frames.create(asked, await asked.body())


async def get(asked: Asked) -> None:
    await frames.get(asked)


async def update(asked: Asked) -> None:
    await frames.start(asked, await asked.body())
