"""Where may be sent to: one reader of addresses, and a judge of the numbers behind them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model.endpoints import AddressRules, Endpoint, is_public, parse_endpoint
from entrepot.model.errors import Invalid

RULES = AddressRules()


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("https://example.org", Endpoint("https", "example.org", 443, "/")),
        ("HTTP://Example.ORG./a/b?c=d", Endpoint("http", "example.org", 80, "/a/b?c=d")),
        ("https://example.org:8443?x", Endpoint("https", "example.org", 8443, "/?x")),
        ("https://xn--bcher-kva.example/%C3%BC", Endpoint("https", "xn--bcher-kva.example", 443, "/%C3%BC")),
        ("http://93.184.216.34/", Endpoint("http", "93.184.216.34", 80, "/")),
        ("https://[2606:2800:0220:1::]:443/", Endpoint("https", "2606:2800:220:1::", 443, "/")),
        ("http://my_host/", Endpoint("http", "my_host", 80, "/")),
    ],
)
def test_what_is_read(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(endpoint.url) == endpoint


#: Ways to write 127.0.0.1 and 169.254.169.254, and to make two readers disagree.
ODD = [
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.0.0.01/",
    "http://0/",
    "http://0x/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://127.0.0.1.:80:80/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://%31%32%37.0.0.1/",
    "http://localhost%00.example.org/",
    "http://[::ffff:127.0.0.1%25lo]/",
    "http://[fe80::1%eth0]/",
    "http://[::1/",
    "http://::1/",
    "http://[127.0.0.1]/",
    "http://[1.2.3.4]:80/",
    "http://example.org@127.0.0.1/",
    "http://user:password@example.org/",
    "http://@example.org/",
    "http://example.org\\@127.0.0.1/",
    "http:\\\\127.0.0.1/",
    "http://example.org#@127.0.0.1/",
    "http://example.org/#fragment",
    "http://example.org /",
    "http://example.org/a b",
    "http://example.org/\r\nHost: 127.0.0.1",
    "http://exa\tmple.org/",
    "http://example.org:0/",
    "http://example.org:65536/",
    "http://example.org:/",
    "http://example.org:8o/",
    "http:///path",
    "http://",
    "http:example.org",
    "//example.org/",
    "/path",
    "",
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "javascript:alert(1)",
    "http://-example.org/",
    "http://example..org/",
    "http://.example.org/",
    "http://" + "a" * 64 + ".org/",
    "http://" + "a." * 127 + "org/",
    "http://example.org/" + "a" * 2048,
    "http://bücher.example/",
]


@pytest.mark.parametrize("text", ODD)
def test_what_two_readers_could_read_differently_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_endpoint(text)
    assert "password" not in str(caught.value)


@given(st.text(max_size=40))
def test_whatever_is_read_is_written_the_same_way(text: str) -> None:
    for candidate in (text, f"http://{text}", f"https://{text}/"):
        try:
            found = parse_endpoint(candidate)
        except Invalid:
            continue
        assert parse_endpoint(found.url) == found
        assert not set(found.url) & set("\r\n @\\")


NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1111"]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_is_not_public_is_refused(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert not is_public(address)
    with pytest.raises(Invalid, match="does not send to") as caught:
        RULES.judge(Endpoint("https", "example.org", 443, "/?key=secret"), [address])
    assert text not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", [*PUBLIC, "::ffff:1.1.1.1"])
def test_what_is_public_is_allowed(text: str) -> None:
    RULES.judge(Endpoint("https", "example.org", 443, "/"), [ipaddress.ip_address(text)])


def test_one_bad_answer_among_good_ones_is_enough() -> None:
    answers = [ipaddress.ip_address(text) for text in ("1.1.1.1", "10.0.0.1")]
    with pytest.raises(Invalid):
        RULES.judge(Endpoint("https", "example.org", 443, "/"), answers)


def test_an_operator_allows_networks_names_and_ports() -> None:
    rules = AddressRules(
        networks=(ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")),
        hosts=frozenset({"labels.lan"}),
        ports=((443, 443), (8000, 8099)),
    )
    for host, text, port, good in [
        ("a.lan", "10.1.2.3", 443, True),
        ("a.lan", "::ffff:10.1.2.3", 443, True),
        ("a.lan", "10.2.0.1", 443, False),
        ("a.lan", "fd12::1", 8099, True),
        ("labels.lan", "192.168.0.9", 8000, True),
        ("labels.lan", "192.168.0.9", 8100, False),
        ("other.lan", "192.168.0.9", 8000, False),
        ("a.lan", "1.1.1.1", 80, False),
    ]:
        try:
            rules.judge(Endpoint("https", host, port, "/"), [ipaddress.ip_address(text)])
            allowed = True
        except Invalid:
            allowed = False
        assert allowed == good, (host, text, port)
