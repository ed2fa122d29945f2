"""`/datasets`, which means one thing to the old client and another to the current one.

| Request | For the old client | For the current one |
| --- | --- | --- |
| POST | otherwise | with `dataFrameId` |
| PATCH | with `uploadStatus` | otherwise |
| GET of one | `dset_…` | `dataset_…` |
"""

from __future__ import annotations

from entrepot.dialects.benchling.context import Asked
from entrepot.dialects.benchling.routes import datasets, frames
from entrepot.model import ids
from entrepot.model.errors import NotFound


async def create(asked: Asked) -> None:
    top = await asked.body()
    if "dataFrameId" in top:
        await datasets.create(asked, top)
    else:
        await frames.create(asked, top)


async def get(asked: Asked) -> None:
    try:
        ids.parse_benchling_dataset(asked.found["id"])
    except NotFound:
        await frames.get(asked)
    else:
        await datasets.get(asked)


async def update(asked: Asked) -> None:
    top = await asked.body()
    if top.given("uploadStatus"):
        await frames.start(asked, top)
    else:
        await datasets.update(asked, top)
