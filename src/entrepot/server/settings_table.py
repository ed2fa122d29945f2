"""The table of all settings of a server: the name of each, how it is read, its default and what it means.

`config` takes values from the places that a setting may come from; `docs/reference/settings.md` is written from here.
"""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from entrepot.datatypes.registry import read_types
from entrepot.depot.context import Limits, Policy
from entrepot.model.endpoints import parse_endpoint
from entrepot.model.errors import Invalid
from entrepot.model.sign_in import Oidc
from entrepot.server.settings import (
    Setting,
    duration,
    flag,
    one_of,
    optional,
    size,
    text,
    whole,
    words,
)

#: Doors that can be switched off. `/objects` is not one: it is how others hand bytes in and out.
DOORS = ("native", "benchling", "datature", "flow", "ufdl", "web")

_SIZE = "bytes, such as 1048576 or 10GiB"
_OPTIONAL_SIZE = _SIZE + ", or none"
_TEXT = "a number of characters"
_TIME = "a time such as 90s, 12h or 7d"
_COUNT = "a whole number"


def _types(given: Any) -> str:
    """Checked here, and kept as JSON: that is how the processes of a server hand settings to one another."""
    found = json.loads(given) if isinstance(given, str) else given
    read_types(found)
    return json.dumps(found, separators=(",", ":"), sort_keys=True)


_LIMITS, _POLICY, _OIDC = Limits(), Policy(), Oidc()


def _url(given: Any) -> str:
    url = text(given).rstrip("/")
    if not url.startswith(("http://", "https://")) or any(c in url for c in "?#@ "):
        raise ValueError("is not an address such as https://data.example.org")
    if url.count("/") > 2:
        raise ValueError("has a path; the server must be at the root of its host")
    return url


def _issuer(given: Any) -> str:
    url: str = text(given)
    split = urlsplit(url)
    if any(c in url for c in "?#@ ") or not split.hostname:
        raise ValueError("is not an address such as https://login.example.org")
    if split.scheme != "https" and not (split.scheme == "http" and split.hostname in ("127.0.0.1", "::1", "localhost")):
        raise ValueError("does not begin with https://; only one on this machine may do without")
    return url


def _source(given: Any) -> str:
    url: str = text(given)
    if not url.startswith(("http://", "https://")):
        raise ValueError("is not an address such as https://archive.example.org/api/filereport")
    try:
        endpoint = parse_endpoint(url)
    except Invalid as wrong:
        raise ValueError(f"cannot be read: {wrong.message}") from None
    if "?" in endpoint.target:
        raise ValueError("has a query, which is put there when it is asked")
    return url


def _networks(given: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = words()(given)
    for network in found:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(f"names {network!r}, which is no address or network") from None
    return found


def _destinations(given: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = words()(given)
    for one in found:
        if not is_network(one) and re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", one) is None:
            raise ValueError(f"names {one!r}, which is no address, network or host name in lower case")
    return found


def is_network(text: str) -> bool:
    """Whether it is an address or a network of them, and not a name."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _ports(given: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = words()([given] if isinstance(given, str) and "," not in given else given)
    for one in found:
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", one)
        if match is None or not 0 < int(match[1]) <= int(match[2] or match[1]) < 65536:
            raise ValueError(f"names {one!r}, which is no port or range of ports")
    return found


def _key(given: Any) -> bytes:
    try:
        key = bytes.fromhex(text(given))
    except ValueError:
        raise ValueError("is not hexadecimal") from None
    if len(key) < 32:
        raise ValueError("is shorter than 32 bytes")
    return key


def _path(given: Any) -> Path:
    return Path(text(given)).expanduser()


SETTINGS: tuple[Setting, ...] = (
    Setting("data", _path, "a folder", Path("entrepot-data"), "Where all state lives.", "--data", in_file=False),
    Setting("host", text, "an address", "127.0.0.1", "The address to listen at.", "--host"),
    Setting("port", whole(0, 65535), _COUNT, 8080, "The port to listen at; 0 takes a free one.", "--port"),
    Setting(
        "database",
        optional(text),
        "postgresql+psycopg://user@host/name, or none",
        None,
        "The catalogue. None is an SQLite file in the data folder.",
    ),
    Setting(
        "store",
        optional(text),
        "s3://BUCKET or s3://BUCKET/PREFIX, or none",
        None,
        "Where bytes are kept. None is the data folder. Chosen before the first start.",
    ),
    Setting("s3_endpoint", optional(_url), "an address, or none", None, "The S3 server; none is Amazon's."),
    Setting(
        "s3_public_endpoint",
        optional(_url),
        "an address, or none",
        None,
        "The S3 server's address as clients reach it, for transfers past this server; none is `s3_endpoint`.",
    ),
    Setting("s3_region", optional(text), "a region, or none", None, "The bucket's region; none asks the surroundings."),
    Setting("s3_key_id", optional(text), "a text, or none", None, "The access key; none takes AWS_ACCESS_KEY_ID."),
    Setting("s3_secret", optional(text), "a text, or none", None, "Its secret; none takes AWS_SECRET_ACCESS_KEY."),
    Setting("s3_path_style", flag, "true or false", True, "Whether addresses have the bucket in the path."),
    Setting(
        "public_url",
        optional(_url),
        "https://data.example.org, or none",
        None,
        "The address by which clients reach this server, for signed URLs. None takes each request's Host.",
    ),
    Setting(
        "allowed_hosts",
        words(),
        "host names with commas between them",
        (),
        "Further host names that requests may name; IP addresses, localhost, this machine's name and the host of "
        "public_url always may. `*` allows every name.",
    ),
    Setting(
        "trusted_proxies",
        _networks,
        "addresses or networks with commas between them",
        (),
        "Proxies whose X-Forwarded-For, -Proto and -Host count.",
    ),
    Setting(
        "secret_key",
        optional(_key),
        "64 or more hexadecimal digits, or none",
        None,
        "Signs links and short-lived tokens. None is a key made in the data folder; several machines need one key.",
    ),
    Setting(
        "webhook_allow",
        _destinations,
        "addresses, networks or host names with commas between them",
        (),
        "Where webhooks may lead although it is not a public address; a name may then lead anywhere.",
    ),
    Setting(
        "webhook_ports",
        _ports,
        "ports or ranges such as 8000-8099 with commas between them",
        ("80", "443", "8080", "8443"),
        "The ports that webhooks may lead to.",
    ),
    Setting(
        "data_types",
        _types,
        "a list of tables, or the same as JSON",
        "[]",
        "Data types besides those of the program, each with identifier, name, description, suffixes and magic.",
    ),
    Setting("examine_memory", size, _SIZE, 2 << 30, "Memory of the process that examines one file."),
    Setting("examine_time", duration, _TIME, duration("5min"), "How long the examination of one file may take."),
    Setting("doors", words(DOORS), "names with commas between them", DOORS, "The doors that are open."),
    Setting("workers", whole(1, 64), _COUNT, 1, "Processes that answer requests."),
    Setting("threads", whole(4, 1000), _COUNT, 40, "Threads for the depot in each of them."),
    Setting("jobs", flag, "true or false", True, "Whether `serve` runs a process for background work."),
    Setting(
        "shutdown_grace",
        duration,
        _TIME,
        duration("10s"),
        "How long requests that are under way may take to end when the server is told to.",
    ),
    Setting("log_format", one_of("text", "json"), "text or json", "text", "How log lines are written."),
    Setting(
        "log_level",
        one_of("debug", "info", "warning", "error"),
        "debug, info, warning or error",
        "info",
        "The least urgent lines that are written.",
    ),
    Setting("access_log", flag, "true or false", False, "One line per request, without query and signed paths."),
    Setting("anonymous", flag, "true or false", True, "Whether callers without credentials count as everybody."),
    Setting(
        "oidc.issuer",
        optional(_issuer),
        "https://login.example.org, or none",
        None,
        "The provider of OpenID Connect whose people may sign in, exactly as it calls itself.",
    ),
    Setting("oidc.client_id", optional(text), "a text, or none", None, "What the provider calls this server."),
    Setting("oidc.client_secret", optional(text), "a text, or none", None, "Its secret; none for a public client."),
    Setting(
        "oidc.scopes", words(), "names with commas between them", _OIDC.scopes, "What is asked for; openid always is."
    ),
    Setting("oidc.label", text, "a text", _OIDC.label, "What the button says after `Sign in with`."),
    Setting("oidc.name_claim", text, "a claim's name", _OIDC.name_claim, "What new accounts are named after."),
    Setting("oidc.groups_claim", text, "a claim's name", _OIDC.groups_claim, "Where groups are listed."),
    Setting(
        "oidc.allowed_domains",
        words(),
        "domains with commas between them",
        (),
        "Only people whose verified e-mail address is in one of these; empty allows all.",
    ),
    Setting(
        "oidc.allowed_groups", words(), "names with commas between them", (), "Only members of these; empty allows all."
    ),
    Setting(
        "oidc.create_accounts",
        flag,
        "true or false",
        False,
        "Whether whoever may sign in and has no account gets one.",
    ),
    Setting("limits.upload_size", optional(size), _OPTIONAL_SIZE, None, "The largest upload."),
    Setting("limits.json_body", size, _SIZE, 64 << 20, "The largest JSON body of a request."),
    Setting("limits.json_depth", whole(2, 500), _COUNT, 64, "How deep JSON may nest."),
    Setting("limits.entries_per_commit", whole(1), _COUNT, _LIMITS.entries_per_commit, "Changes in one commit."),
    Setting(
        "limits.unpacked_size",
        optional(size),
        _OPTIONAL_SIZE,
        _LIMITS.unpacked_size,
        "What may come out of one.",
    ),
    Setting(
        "limits.unpacked_ratio",
        whole(1),
        _COUNT,
        _LIMITS.unpacked_ratio,
        "So many times its own size may come out of an archive, or 1 GiB if that is more.",
    ),
    Setting(
        "limits.unpacked_depth", whole(1, 500), _COUNT, _LIMITS.unpacked_depth, "Folders in each other in an archive."
    ),
    Setting("limits.metadata_text", size, _TEXT, _LIMITS.metadata_text, "Characters of an entry's metadata text."),
    Setting("limits.custom_metadata", size, _TEXT, _LIMITS.custom_metadata, "Characters of custom metadata as JSON."),
    Setting("limits.description", size, _TEXT, _LIMITS.description, "Characters of a description."),
    Setting("limits.tags", whole(1), _COUNT, _LIMITS.tags, "Tags of a version."),
    Setting("limits.collection_depth", whole(1, 100), _COUNT, _LIMITS.collection_depth, "Levels of collections."),
    Setting("limits.slots_per_version", whole(1), _COUNT, _LIMITS.slots_per_version, "Files of one ingest."),
    Setting("limits.page", whole(1, 100_000), _COUNT, _LIMITS.page, "Rows of a page."),
    Setting("limits.graph_nodes", whole(1), _COUNT, _LIMITS.graph_nodes, "Versions that one walk visits."),
    Setting(
        "limits.open_uploads_per_user",
        whole(1),
        _COUNT,
        _LIMITS.open_uploads_per_user,
        "Unfinished uploads of a person.",
    ),
    Setting("limits.tasks_per_user", whole(1), _COUNT, _LIMITS.tasks_per_user, "Tasks of a person that wait or run."),
    Setting("limits.record_line", size, _SIZE, _LIMITS.record_line, "One line of records, in bytes."),
    Setting("limits.query_seconds", whole(1, 3600), _COUNT, _LIMITS.query_seconds, "Time of one query of tables."),
    Setting("limits.query_memory", size, _SIZE, _LIMITS.query_memory, "Memory of one query of tables."),
    Setting("limits.query_rows", whole(1), _COUNT, _LIMITS.query_rows, "Rows of one answer to a query."),
    Setting("limits.query_bytes", size, _SIZE, _LIMITS.query_bytes, "Size of one answer to a query, held in memory."),
    Setting("limits.webhooks_per_project", whole(1), _COUNT, _LIMITS.webhooks_per_project, "Webhooks of one project."),
    Setting(
        "policy.default_licence", text, "a licence's name", _POLICY.default_licence, "What new projects begin with."
    ),
    Setting(
        "policy.project_allocation",
        optional(size),
        _OPTIONAL_SIZE,
        _POLICY.project_allocation,
        "Bytes that a new project may hold.",
    ),
    Setting(
        "policy.upload_lifetime",
        duration,
        _TIME,
        _POLICY.upload_lifetime,
        "After its last byte an upload is kept so long.",
    ),
    Setting(
        "policy.parcel_lifetime",
        duration,
        _TIME,
        _POLICY.parcel_lifetime,
        "After its last byte an unfinished upload of the Flow door is kept so long.",
    ),
    Setting(
        "policy.parcel_memory",
        duration,
        _TIME,
        _POLICY.parcel_memory,
        "How long the Flow door recognises the last chunk of a finished upload that is sent again.",
    ),
    Setting(
        "policy.sample_source",
        optional(_source),
        "https://archive.example.org/api/filereport, or none",
        _POLICY.sample_source,
        "Where runs of reads are asked for by accession: the file report of the European Nucleotide Archive or of a "
        "server that answers like it. None refuses such imports.",
    ),
    Setting(
        "policy.unpack_wait",
        duration,
        _TIME,
        _POLICY.unpack_wait,
        "How long the Flow door waits for an archive to be unpacked before it answers; it goes on in the background.",
    ),
    Setting("policy.slot_lifetime", duration, _TIME, _POLICY.slot_lifetime, "How long a signed URL takes bytes."),
    Setting(
        "policy.signed_url_lifetime", duration, _TIME, _POLICY.signed_url_lifetime, "How long a signed URL gives bytes."
    ),
    Setting(
        "policy.direct_lifetime",
        optional(duration),
        "a time such as 90s, 12h or 7d, or none",
        _POLICY.direct_lifetime,
        "How long an address of the bucket itself is good, given to clients that ask for one; none gives none.",
    ),
    Setting(
        "policy.unstarted_lifetime",
        duration,
        _TIME,
        _POLICY.unstarted_lifetime,
        "A version whose files came but whose ingest nobody starts fails after this.",
    ),
    Setting(
        "policy.failed_lifetime",
        duration,
        _TIME,
        _POLICY.failed_lifetime,
        "A version that never got its bytes is purged so long after it failed.",
    ),
    Setting(
        "policy.refused_lifetime",
        duration,
        _TIME,
        _POLICY.refused_lifetime,
        "Files whose check failed are kept so long.",
    ),
    Setting(
        "policy.expiry_notice",
        duration,
        _TIME,
        _POLICY.expiry_notice,
        "An event tells of a version so long before it expires.",
    ),
    Setting(
        "policy.idempotency_lifetime",
        duration,
        _TIME,
        _POLICY.idempotency_lifetime,
        "How long an answer is kept for a request that is repeated with its key.",
    ),
    Setting("policy.task_retention", duration, _TIME, _POLICY.task_retention, "How long ended tasks are shown."),
    Setting(
        "policy.collection_grace",
        duration,
        _TIME,
        _POLICY.collection_grace,
        "Bytes that nothing refers to are kept so long.",
    ),
    Setting(
        "policy.scrub_every",
        duration,
        _TIME,
        _POLICY.scrub_every,
        "Stored bytes that were not read for so long are read again and compared.",
    ),
    Setting(
        "policy.scrub_bytes",
        size,
        _SIZE,
        _POLICY.scrub_bytes,
        "How much of them is read every ten minutes.",
    ),
    Setting(
        "policy.trash_retention",
        optional(duration),
        _TIME + ", or none",
        _POLICY.trash_retention,
        "How long the trash is kept; none keeps it for ever.",
    ),
    Setting(
        "policy.webhook_timeout",
        duration,
        _TIME,
        _POLICY.webhook_timeout,
        "How long one attempt to send to a webhook may take.",
    ),
    Setting(
        "policy.webhook_retention",
        duration,
        _TIME,
        _POLICY.webhook_retention,
        "How long deliveries that ended are shown and can be replayed.",
    ),
    Setting(
        "policy.webhook_disable_after",
        optional(whole(1)),
        _COUNT + ", or none",
        _POLICY.webhook_disable_after,
        "A webhook of which so many deliveries in a row were given up is switched off.",
    ),
    Setting(
        "policy.login_failures",
        whole(1),
        _COUNT,
        _POLICY.login_failures,
        "Failed logins of an account from one address.",
    ),
    Setting("policy.login_window", duration, _TIME, _POLICY.login_window, "The time in which they are counted."),
    Setting("policy.token_lifetime", duration, _TIME, _POLICY.token_lifetime, "Of a token whose end nobody named."),
    Setting("policy.session_lifetime", duration, _TIME, _POLICY.session_lifetime, "Of a login in a browser."),
    # argon2id takes 8 KiB for each lane at least.
    Setting(
        "policy.password_time_cost", whole(1, 100), _COUNT, _POLICY.password_time_cost, "Passes of a password's hash."
    ),
    Setting(
        "policy.password_memory_kib",
        whole(64, 4 << 20),
        _COUNT,
        _POLICY.password_memory_kib,
        "Memory of a password's hash in KiB; two are computed at once.",
    ),
    Setting("policy.password_lanes", whole(1, 8), _COUNT, _POLICY.password_lanes, "Lanes of a password's hash."),
)
