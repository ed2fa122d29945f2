"""Names and proxies: no request decides by itself where links point or where it came from."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.http.hosts import Hosts, Origin
from entrepot.model.errors import Malformed
from tests.support.asgi import request

PROXIED = {
    "x_forwarded_for": "203.0.113.9",
    "x_forwarded_proto": "https",
    "x_forwarded_host": "data.example.org",
    "host": "inner:8080",
}


def test_the_address_that_was_set_goes_before_everything() -> None:
    hosts = Hosts(public_url="https://data.example.org/", proxies=["127.0.0.0/8"])
    for fields in ({}, {"host": "evil.example"}, PROXIED, {"host": "not a host"}):
        assert hosts.base_url(request(**fields)) == "https://data.example.org"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LocalHost.", "127.0.0.1:8080", "10.1.2.3", "[::1]:8080", "[2001:db8::1]"]
)
def test_addresses_and_localhost_are_always_allowed(host: str) -> None:
    assert Hosts().base_url(request(host=host)) == f"http://{host.lower()}"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("store.lab.example", True),
        ("STORE.lab.example:8080", True),
        ("store.lab.example.", True),
        ("other.lab.example", False),
        ("a.data.example", True),
        ("a.b.data.example", True),
        ("data.example", False),
        ("evildata.example", False),
        ("store.lab.example.evil.example", False),
        ("store.lab.example@evil.example", False),
        ("evil.example/store.lab.example", False),
        ("evil.example#store.lab.example", False),
        ("store.lab.example:80:80", False),
        ("store.lab.example:", False),
        ("-x.data.example", False),
        ("", False),
        ("a b", False),
        ("é.data.example", False),
        ("[::1", False),
        ("999.1.1.1", False),
    ],
)
def test_other_names_only_if_allowed(host: str, allowed: bool) -> None:
    hosts = Hosts(allowed=["Store.Lab.example", "*.data.example"])
    if allowed:
        assert hosts.base_url(request(host=host)) == f"http://{host.lower()}"
    else:
        with pytest.raises(Malformed):
            hosts.base_url(request(host=host))


def test_every_name_if_the_operator_says_so_but_nothing_that_is_no_name() -> None:
    hosts = Hosts(allowed=["*"])
    assert hosts.base_url(request(host="any.thing")) == "http://any.thing"
    with pytest.raises(Malformed, match="no Host"):
        hosts.base_url(request(host="a/b"))
    with pytest.raises(Malformed, match="no Host"):
        hosts.base_url(request())


def test_a_refused_name_says_what_to_do() -> None:
    with pytest.raises(Malformed, match=r"'evil\.example'.*ENTREPOT_PUBLIC_URL.*ENTREPOT_ALLOWED_HOSTS"):
        Hosts().base_url(request(host="evil.example"))


def test_what_a_stranger_forwards_is_just_text() -> None:
    expected = Origin("http", "inner:8080", "127.0.0.1")
    assert Hosts().origin(request(**PROXIED)) == expected
    assert Hosts(proxies=["10.0.0.0/8"]).origin(request(**PROXIED)) == expected


@pytest.mark.parametrize("proxy", ["127.0.0.1", "127.0.0.0/8", "127.0.0.9/8"])
def test_what_a_known_proxy_forwards_counts(proxy: str) -> None:
    hosts = Hosts(proxies=[proxy], allowed=["data.example.org"])
    assert hosts.origin(request(**PROXIED)) == Origin("https", "data.example.org", "203.0.113.9")
    assert hosts.base_url(request(**PROXIED)) == "https://data.example.org"


def test_a_name_that_a_proxy_forwards_must_be_allowed_too() -> None:
    with pytest.raises(Malformed, match=r"data\.example\.org"):
        Hosts(proxies=["127.0.0.1"]).base_url(request(**PROXIED))


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        # Whoever is not our proxy may have invented everything left of itself.
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("10.0.0.7", "10.0.0.7"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unknown", "127.0.0.1"),
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("203.0.113.9, unknown, 10.0.0.7", "10.0.0.7"),
        ("", "127.0.0.1"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(forwarded: str, client: str) -> None:
    hosts = Hosts(proxies=["127.0.0.1", "10.0.0.0/8"])
    assert hosts.origin(request(x_forwarded_for=forwarded)).client == client


def test_a_client_of_ipv4_on_a_socket_of_ipv6_is_recognised() -> None:
    scope = request(**PROXIED) | {"client": ("::ffff:127.0.0.1", 1)}
    assert Hosts(proxies=["127.0.0.1"]).origin(scope).client == "203.0.113.9"


@pytest.mark.parametrize(
    ("proto", "scheme"), [("HTTPS", "https"), ("http, https", "https"), ("https, http", "http"), ("gopher", "http")]
)
def test_the_nearest_proxy_says_the_scheme(proto: str, scheme: str) -> None:
    assert Hosts(proxies=["127.0.0.1"]).origin(request(x_forwarded_proto=proto)).scheme == scheme


def test_a_unix_socket_has_no_client() -> None:
    scope = request(host="localhost") | {"client": None}
    assert Hosts(proxies=["127.0.0.1"]).origin(scope) == Origin("http", "localhost", None)


@given(st.text(), st.text(), st.text())
def test_no_field_breaks_the_reader(host: str, forwarded: str, proto: str) -> None:
    scope = request()
    for name, value in ((b"host", host), (b"x-forwarded-for", forwarded), (b"x-forwarded-proto", proto)):
        scope["headers"].append((name, value.encode()))
    for hosts in (Hosts(), Hosts(proxies=["127.0.0.1"])):
        hosts.origin(scope)
        with contextlib.suppress(Malformed):
            hosts.base_url(scope)
