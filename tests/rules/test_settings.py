"""A setting that nobody can find is no setting."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from entrepot.depot.context import Limits, Policy
from entrepot.server.config import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_page_is_what_the_table_says() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "settings-page", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_reference_page_lists_every_setting() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    for setting in SETTINGS:
        assert f"`{setting.name}`" in page
        assert f"`{setting.env}`" in page
        assert setting.help in page


def test_every_limit_and_every_policy_of_the_depot_is_a_setting_with_the_same_default() -> None:
    known = {setting.name: setting.default for setting in SETTINGS}
    for section, holder in (("limits", Limits()), ("policy", Policy())):
        for one in fields(holder):
            name = "anonymous" if one.name == "anonymous" else f"{section}.{one.name}"
            assert name in known, f"add {name} to SETTINGS in server/config.py and run scripts/settings-page"
            assert known[name] == getattr(holder, one.name)


def test_names_are_told_apart_in_every_place() -> None:
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    assert len({setting.env for setting in SETTINGS}) == len(SETTINGS)
    assert all(re.fullmatch(r"([a-z]+\.)?[a-z0-9_]+", setting.name) for setting in SETTINGS)
