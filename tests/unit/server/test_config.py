"""Where a setting comes from, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from entrepot.model.errors import Invalid
from entrepot.server.commands import load_config
from entrepot.server.config import SETTINGS, environment, load, parse_assignment
from entrepot.server.settings import Setting, duration, optional, read_setting, shown, size, words, written


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    assert load(data=tmp_path).port == 8080
    (tmp_path / "entrepot.toml").write_text('port = 1\nallowed_hosts = ["a", "b"]\n[limits]\nupload_size = "2 GiB"\n')
    from_file = load(data=tmp_path)
    assert (from_file.port, from_file.allowed_hosts, from_file.limits.upload_size) == (1, ("a", "b"), 2 << 30)
    around = {"ENTREPOT_PORT": "2", "ENTREPOT_LIMITS_UPLOAD_SIZE": "none", "ENTREPOT_ALLOWED_HOSTS": "c"}
    from_environment = load({}, around, data=tmp_path)
    assert from_environment.port == 2
    assert from_environment.limits.upload_size is None
    assert from_environment.allowed_hosts == ("c",)
    assert load({"port": 3, "host": None}, around, data=tmp_path).port == 3


def test_the_data_folder_may_come_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "entrepot.toml").write_text("workers = 3\n")
    config = load({}, {"ENTREPOT_DATA": str(tmp_path)})
    assert config.data == tmp_path
    assert config.workers == 3
    assert config.catalog == tmp_path / "catalog.sqlite"


def test_every_default_is_what_its_reader_makes_of_it() -> None:
    # Else the documentation would show a default that cannot be written down.
    for setting in SETTINGS:
        if setting.name != "data":
            assert read_setting(setting, shown(setting.default), "here") == setting.default, setting.name


def test_policies_and_limits_reach_the_depot(tmp_path: Path) -> None:
    config = load({"policy.token_lifetime": "36h", "limits.page": 5, "anonymous": "no"}, data=tmp_path)
    assert config.policy.token_lifetime == timedelta(hours=36)
    assert config.limits.page == 5
    assert config.policy.anonymous is False


@pytest.mark.parametrize("text", ["prot = 1\n", "[limits]\nuploads = 1\n", 'data = "elsewhere"\n', "port = \n"])
def test_a_file_with_a_mistake_stops_the_server(tmp_path: Path, text: str) -> None:
    (tmp_path / "entrepot.toml").write_text(text)
    with pytest.raises(Invalid, match=r"entrepot\.toml"):
        load(data=tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "http"),
        ("workers", "0"),
        ("public_url", "data.example.org"),
        ("public_url", "https://data.example.org/entrepot"),
        ("public_url", "https://user:secret@data.example.org"),
        ("trusted_proxies", "10.0.0.0/8, proxy"),
        ("doors", "native,hub"),
        ("anonymous", "maybe"),
        ("limits.upload_size", "10 parsecs"),
        ("policy.slot_lifetime", "0s"),
        ("policy.slot_lifetime", "-1h"),
        ("log_format", "xml"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_without_repeating_it(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(Invalid, match=name) as caught:
        load({name: value}, data=tmp_path)
    assert "secret" not in str(caught.value)


def test_an_unknown_name_on_the_command_line_is_refused() -> None:
    with pytest.raises(Invalid, match="no setting 'prot'"):
        parse_assignment("prot=1")
    with pytest.raises(Invalid, match="NAME=VALUE"):
        parse_assignment("port")
    assert parse_assignment("limits.page = 7") == ("limits.page", " 7")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1048576", 1 << 20), ("1MiB", 1 << 20), ("1.5 GB", 1_500_000_000), ("2k", 2000), ("3 TiB", 3 << 40), (7, 7)],
)
def test_sizes_take_units(text: object, wanted: int) -> None:
    assert size(text) == wanted


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("2 min", 120), ("12h", 43200), ("7d", 604800), (5, 5), (0.5, 0.5)]
)
def test_times_take_units(text: object, seconds: float) -> None:
    assert duration(text).total_seconds() == seconds


def test_none_is_written_in_words() -> None:
    assert [optional(size)(given) for given in ("none", "Unlimited", "", None, "1")] == [None, None, None, None, 1]
    assert words()(" a, b,,a") == ("a", "b")


#: A value that is not the default, for settings whose default does not lend itself to one.
SAMPLES: dict[str, Any] = {
    "host": "::1",
    "database": "postgresql+psycopg://ann@db.example.org/entrepot",
    "store": "s3://bucket/prefix",
    "s3_endpoint": "https://s3.example.org",
    "s3_public_endpoint": "https://files.example.org",
    "s3_region": "eu-central-1",
    "s3_key_id": "AKIA",
    "s3_secret": "hidden",
    "public_url": "https://data.example.org",
    "allowed_hosts": ["a.example.org", "b.example.org"],
    "trusted_proxies": ["10.0.0.0/8"],
    "secret_key": "ab" * 32,
    "webhook_allow": ["10.0.0.7", "hooks"],
    "webhook_ports": ["443", "8000-8099"],
    "data_types": '[{"identifier":"spectrum","name":"Spectrum","suffixes":[".spc"]}]',
    "doors": ["native", "web"],
    "log_format": "json",
    "log_level": "debug",
    "oidc.issuer": "https://login.example.org",
    "oidc.client_id": "entrepot",
    "oidc.client_secret": "hidden",
    "oidc.scopes": ["openid", "groups"],
    "oidc.allowed_domains": ["example.org"],
    "oidc.allowed_groups": ["staff"],
    "limits.upload_size": 1 << 30,
    "limits.unpacked_size": 1 << 31,
    "policy.project_allocation": 1 << 32,
    "policy.sample_source": "https://archive.example.org/api",
    "policy.trash_retention": "30d",
    "policy.webhook_disable_after": 5,
    "policy.default_licence": "CC0",
}


def sample(setting: Setting) -> Any:
    """Something else than the default, as TOML has it."""
    if setting.name in SAMPLES:
        return SAMPLES[setting.name]
    if isinstance(setting.default, bool):
        return not setting.default
    if isinstance(setting.default, int):
        return setting.default + 1
    if isinstance(setting.default, timedelta):
        return written(setting.default + timedelta(hours=1))
    assert isinstance(setting.default, str), f"give {setting.name} a value in SAMPLES"
    return f"another {setting.default}"


@pytest.mark.parametrize("place", ["command line", "environment", "file"])
def test_every_setting_can_be_given_in_every_place_and_changes_nothing_else(tmp_path: Path, place: str) -> None:
    for setting in SETTINGS:
        if setting.name == "data":
            continue
        given = {setting.name: sample(setting)}
        if setting.name == "oidc.issuer":
            given["oidc.client_id"] = "entrepot"
        texts = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in given.items()}
        found = tmp_path / setting.name
        found.mkdir()
        before = environment(load(data=found))
        if place == "command line":
            config = load_config({"data": str(found)}, [f"{name}={text}" for name, text in texts.items()], {})
        elif place == "environment":
            config = load_config(environ={"ENTREPOT_DATA": str(found)} | {env_of(name): texts[name] for name in texts})
        else:
            (found / "entrepot.toml").write_text(toml(given))
            config = load_config({"data": str(found)}, environ={})
        after = environment(config)
        changed = {env_of(name): written(read_setting(by_name(name), value, "here")) for name, value in given.items()}
        assert {name: value for name, value in after.items() if before[name] != value} == changed, setting.name


def by_name(name: str) -> Setting:
    (found,) = (setting for setting in SETTINGS if setting.name == name)
    return found


def env_of(name: str) -> str:
    return by_name(name).env


def toml(given: Mapping[str, Any]) -> str:
    """Settings of one section, or of none."""
    lines = [f"{name.rpartition('.')[2]} = {json.dumps(value)}" for name, value in given.items()]
    section = next(iter(given)).rpartition(".")[0]
    return "\n".join([f"[{section}]", *lines] if section else lines)


def test_another_process_reads_exactly_these_settings_from_its_environment(tmp_path: Path) -> None:
    """Whatever they came from: a worker must not collect by other rules than its server was given."""
    given = {
        "port": 1,
        "public_url": "https://data.example.org",
        "allowed_hosts": "a,b",
        "trusted_proxies": "10.0.0.0/8",
        "secret_key": "ab" * 32,
        "shutdown_grace": "1500ms",
        "jobs": "no",
        "anonymous": "no",
        "limits.upload_size": "2GiB",
        "limits.json_body": 5,
        "policy.collection_grace": "250ms",
        "policy.trash_retention": "30d",
    }
    for config in (load(data=tmp_path), load(given, data=tmp_path)):
        assert load({}, environment(config)) == config
