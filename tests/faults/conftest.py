"""What several tables of faults share: what each operation takes when nothing goes wrong is found out once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.catalogs import memory_folder
from tests.support.cells import Cells, ground


@pytest.fixture(scope="session")
def cells(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """Operations of the depot, with everything below them in this process."""
    with (
        memory_folder(tmp_path_factory.mktemp("cells")) as folder,
        ground(folder, lambda: request.getfixturevalue("postgres_server")) as made,
    ):
        yield Cells(made)
