"""The settings of a server, from the places that they may come from; `settings_table` names them all.

    --flag or --set NAME=VALUE   over   ENTREPOT_NAME   over   DIR/entrepot.toml   over   the default

A name with a dot is a section and a key in TOML; in the environment the dot is an underscore. What is not in the table
is refused in the file: a typing error would otherwise leave a limit at its default without a word.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from entrepot.datatypes.registry import read_types
from entrepot.depot.context import Limits, Policy
from entrepot.model.data_types import DataType
from entrepot.model.endpoints import AddressRules
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.sign_in import Oidc
from entrepot.server.settings import Setting, read_setting, written
from entrepot.server.settings_table import SETTINGS, is_network

FILE_NAME = "entrepot.toml"

#: Variables of ours that are no settings: the first start's, and those of clients on the same machine.
_OTHER_VARIABLES = frozenset(
    f"ENTREPOT_{name}"
    for name in ("ADMIN_PASSWORD", "URL", "TOKEN", "CACHE_SIZE", "SOCKET", "DAEMON_IDLE_S", "DEBUG", "DEMO_EXIT")
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one server, read and checked. Pickled to the processes that it starts."""

    data: Path
    host: str
    port: int
    database: str | None
    public_url: str | None
    allowed_hosts: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    doors: tuple[str, ...]
    workers: int
    threads: int
    jobs: bool
    shutdown_grace_s: float
    log_format: str
    log_level: str
    access_log: bool
    json_body: int
    json_depth: int
    webhook_allow: tuple[str, ...] = ()
    webhook_ports: tuple[str, ...] = ("80", "443", "8080", "8443")
    store: str | None = None
    s3_endpoint: str | None = None
    s3_public_endpoint: str | None = None
    s3_region: str | None = None
    s3_key_id: str | None = None
    s3_secret: str | None = field(default=None, repr=False)
    s3_path_style: bool = True
    #: As JSON; `added_types` has them read.
    data_types: str = "[]"
    examine_memory: int = 2 << 30
    examine_time_s: float = 300.0
    #: Signs links and short-lived tokens; None takes the key in the data folder.
    secret_key: bytes | None = field(default=None, repr=False)
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    oidc: Oidc = field(default_factory=Oidc)

    def names_of_this_host(self) -> tuple[str, ...]:
        """Host names that requests may name: those allowed by the operator, and the machine's own."""
        return (*self.allowed_hosts, socket.gethostname(), self.host)

    def webhook_rules(self) -> AddressRules:
        """Where webhooks may lead."""
        pairs = [one.partition("-") for one in self.webhook_ports]
        return AddressRules(
            networks=tuple(ipaddress.ip_network(one) for one in self.webhook_allow if is_network(one)),
            hosts=frozenset(one for one in self.webhook_allow if not is_network(one)),
            ports=tuple((int(first), int(last or first)) for first, _, last in pairs),
        )

    def added_types(self) -> tuple[DataType, ...]:
        """The data types that these settings add."""
        return read_types(json.loads(self.data_types))

    @property
    def catalog(self) -> str | Path:
        """What `Catalog.open` takes."""
        return self.database or self.data / "catalog.sqlite"


def load(
    given: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, *, data: Path | None = None
) -> Config:
    """The settings from all their places.

    Args:
        given: By name, from the command line; None values count as not given.
        environ: The environment.
        data: The data folder, if the caller knows it already.

    Raises:
        Invalid: A value cannot be read, or a name is not in the table.
    """
    flags = {name: value for name, value in (given or {}).items() if value is not None}
    for name in flags:
        if name not in _BY_NAME:
            raise Invalid(f"There is no setting {name!r}. `docs/reference/settings.md` lists all.")
    around = environ or {}
    if data is not None:
        flags["data"] = str(data)
    folder: Path = _value(_BY_NAME["data"], flags, around, {})
    file = _read_file(folder / FILE_NAME)
    values = {setting.name: _value(setting, flags, around, file) for setting in SETTINGS}
    oidc = Oidc(**{f.name: values[f"oidc.{f.name}"] for f in fields(Oidc)})
    if oidc.issuer is not None and oidc.client_id is None:
        raise Invalid("oidc.issuer is set and oidc.client_id is not. Set it to what the provider calls this server.")
    return Config(
        oidc=oidc,
        data=folder.absolute(),
        shutdown_grace_s=values["shutdown_grace"].total_seconds(),
        examine_time_s=values["examine_time"].total_seconds(),
        json_body=values["limits.json_body"],
        json_depth=values["limits.json_depth"],
        limits=Limits(**{f.name: values[f"limits.{f.name}"] for f in fields(Limits)}),
        policy=Policy(
            anonymous=values["anonymous"],
            **{f.name: values[f"policy.{f.name}"] for f in fields(Policy) if f.name != "anonymous"},
        ),
        **{
            name: values[name]
            for name in (
                "host",
                "port",
                "database",
                "public_url",
                "allowed_hosts",
                "trusted_proxies",
                "secret_key",
                "webhook_allow",
                "webhook_ports",
                "data_types",
                "examine_memory",
                "store",
                "s3_endpoint",
                "s3_public_endpoint",
                "s3_region",
                "s3_key_id",
                "s3_secret",
                "s3_path_style",
                "doors",
                "workers",
                "threads",
                "jobs",
                "log_format",
                "log_level",
                "access_log",
            )
        },
    )


def environment(config: Config) -> dict[str, str]:
    """The variables by which another process on the same folder reads exactly these settings."""
    found: dict[str, str] = {}
    for setting in SETTINGS:
        section, _, key = setting.name.rpartition(".")
        if setting.name == "shutdown_grace":
            value: Any = timedelta(seconds=config.shutdown_grace_s)
        elif setting.name == "examine_time":
            value = timedelta(seconds=config.examine_time_s)
        elif section == "policy" or setting.name == "anonymous":
            value = getattr(config.policy, key)
        elif section == "limits" and hasattr(config.limits, key):
            value = getattr(config.limits, key)
        elif section == "oidc":
            value = getattr(config.oidc, key)
        else:
            value = getattr(config, key)
        found[setting.env] = written(value)
    return found


def strangers(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: typing errors, most of them.

    They cannot stop a server as an unknown name in the file does: somebody else's program may mean something by them.
    """
    known = _OTHER_VARIABLES | {setting.env for setting in SETTINGS}
    ours = (name for name in environ if name.startswith("ENTREPOT_") and not name.startswith("ENTREPOT_TEST_"))
    return sorted(name for name in ours if name not in known)


def parse_assignment(assignment: str) -> tuple[str, str]:
    """The two halves of `--set NAME=VALUE`.

    Raises:
        Invalid: There is no `=`, or no setting of this name.
    """
    name, equals, value = assignment.partition("=")
    if not equals:
        raise Invalid(f"{assignment!r} is not NAME=VALUE.")
    if name.strip() not in _BY_NAME:
        raise Invalid(f"There is no setting {name.strip()!r}. `docs/reference/settings.md` lists all.")
    return name.strip(), value


def _value(setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], file: Mapping[str, Any]) -> Any:
    if setting.name in flags:
        return read_setting(setting, flags[setting.name], setting.flag or f"--set {setting.name}")
    if setting.env in environ:
        return read_setting(setting, environ[setting.env], setting.env)
    if setting.name in file:
        return read_setting(setting, file[setting.name], FILE_NAME)
    return setting.default


def _read_file(path: Path) -> dict[str, Any]:
    """The settings in the file by their full names; a missing file has none."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise Invalid(f"{path} is not TOML: {wrong}") from None
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    found: dict[str, Any] = {}
    for key, value in raw.items():
        if isinstance(value, dict):
            found |= {f"{key}.{inner}": what for inner, what in value.items()}
        else:
            found[key] = value
    for name in found:
        setting = _BY_NAME.get(name)
        if setting is None or not setting.in_file:
            raise Invalid(f"{path} has {name!r}, which is no setting of a file. docs/reference/settings.md lists all.")
    return found
