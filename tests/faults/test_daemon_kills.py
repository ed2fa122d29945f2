"""kill -9 of the daemon, its client and the server in the middle of transfers: all are finished, once, and cheaply."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.daemon_kills import VICTIMS, Campaign, WholeHouse


def test_whoever_is_killed_the_transfer_is_finished_once_with_the_right_digest(tmp_path: Path) -> None:
    """Five points of an upload and of a download of 40 MB; what is sent again is bounded by a chunk a kill."""
    campaign = Campaign(tmp_path, 8, size=40_000_000, chunk_mib=4, rate=24_000_000)
    with campaign.running():
        asset = campaign.upload(["client", "daemon", "server", "daemon", "daemon"])
        campaign.download(asset, ["client", "server", "daemon", "daemon", "daemon"])
    assert set(campaign.figures.kills) == set(VICTIMS)
    assert campaign.figures.kills.total() >= 8, campaign.figures


@pytest.mark.soak
def test_killed_at_very_many_points_of_large_transfers(tmp_path: Path) -> None:
    """At least fifty kills in transfers of 400 MB; the figures are printed, and kept by whoever asks for it."""
    campaign = Campaign(tmp_path, 50, size=400_000_000, chunk_mib=16, rate=80_000_000, serving=WholeHouse)
    with campaign.running():
        while campaign.figures.kills.total() < 50:
            victims = [campaign.chance.choice(VICTIMS) for _ in range(6)]
            asset = campaign.upload(victims)
            campaign.download(asset, victims[::-1])
    found = campaign.figures
    told = {
        "kills": dict(found.kills),
        "transfers": found.transfers,
        "bytes": found.size,
        "sent_again": found.sent_again,
        "worst_a_kill": round(found.worst),
        "chunk": campaign.chunk,
    }
    print(json.dumps(told))
    if place := os.environ.get("ENTREPOT_TEST_FIGURES"):
        Path(place).write_text(json.dumps(told, indent=2) + "\n")
