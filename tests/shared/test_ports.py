"""Published and exposed ports: each row was also given to the docker command line, which read it the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared import ports
from pydock_shared.errors import InvalidArgument
from pydock_shared.ports import PortMapping


@pytest.mark.parametrize(
    ("text", "mappings"),
    [
        ("80", [("", "", 80, "tcp")]),
        (":80", [("", "", 80, "tcp")]),
        ("80/", [("", "", 80, "tcp")]),
        ("80/UDP", [("", "", 80, "udp")]),
        ("8080:80", [("", "8080", 80, "tcp")]),
        ("0:80", [("", "0", 80, "tcp")]),
        ("01:02", [("", "1", 2, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", "", 80, "tcp")]),
        ("127.0.0.1:8080:80/sctp", [("127.0.0.1", "8080", 80, "sctp")]),
        ("[::1]:8080:80", [("::1", "8080", 80, "tcp")]),
        ("::1:8080:80", [("::1", "8080", 80, "tcp")]),
        ("::ffff:1.2.3.4:1:2", [("::ffff:1.2.3.4", "1", 2, "tcp")]),
        ("8080-8081:80-81", [("", "8080", 80, "tcp"), ("", "8081", 81, "tcp")]),
        ("8000-8010:80", [("", "8000-8010", 80, "tcp")]),
        ("8000-8000:80", [("", "8000", 80, "tcp")]),
        ("80-81", [("", "", 80, "tcp"), ("", "", 81, "tcp")]),
        ("target=80,published=8080,protocol=udp,mode=host", [("", "8080", 80, "udp")]),
        ("target=80", [("", "", 80, "tcp")]),
    ],
)
def test_publish(text: str, mappings: list[tuple[str, str, int, str]]) -> None:
    assert ports.parse_publish(text) == [PortMapping(*mapping) for mapping in mappings]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no port specified: <empty>"),
        ("80:", "no port specified: 80:<empty>"),
        ("/tcp", "no port specified: /tcp<empty>"),
        ("80/foo", "invalid proto: foo"),
        ("foo", "invalid containerPort: foo"),
        ("70000", "invalid containerPort: 70000"),
        ("80-79", "invalid containerPort: 80-79"),
        ("80-", "invalid containerPort: 80-"),
        ("+80", "invalid containerPort: +80"),
        ("1_0", "invalid containerPort: 1_0"),
        ("٨٠", "invalid containerPort: ٨٠"),
        ("a:80", "invalid hostPort: a"),
        ("127.0.0.1:80", "invalid hostPort: 127.0.0.1"),
        ("99999:80", "invalid hostPort: 99999"),
        ("300.1.1.1:80:80", "invalid IP address: 300.1.1.1"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("host:80:80", "invalid IP address: host"),
        ("1:2:3:4", "invalid IP address: 1:2"),
        ("[fe80::1%eth0]:1:2", "invalid IP address: fe80::1%eth0"),
        ("8080-8081:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8080-8081"),
        ("target=80,,", "invalid publish opts format (should be name=value but got '')"),
        ("target=80,host_ip=1", "invalid publish opts format: unexpected key 'host_ip' in 'host_ip=1'"),
    ],
)
def test_publish_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ports.parse_publish(text)
    assert caught.value.message == message


def test_a_mapping_has_the_key_of_the_api() -> None:
    assert PortMapping("", "8080", 80, "tcp").key == "80/tcp"
    assert ports.parse_key("80/tcp") == (80, "tcp")
    assert ports.parse_key("53/udp") == (53, "udp")
    assert ports.parse_key("80") == (80, "tcp")


@pytest.mark.parametrize("text", ["", "/tcp", "x/tcp", "80/x", "70000/tcp", "80-81/tcp"])
def test_a_key_is_one_port(text: str) -> None:
    with pytest.raises(InvalidArgument):
        ports.parse_key(text)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("80", ["80/tcp"]), ("53/udp", ["53/udp"]), ("80-82/sctp", ["80/sctp", "81/sctp", "82/sctp"])],
)
def test_expose(text: str, keys: list[str]) -> None:
    assert ports.parse_expose(text) == keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("80:90", "invalid port format for --expose: 80:90"),
        ("a", "invalid range format for --expose: a"),
        ("", "invalid range format for --expose: "),
        ("80/foo", "invalid proto: foo"),
    ],
)
def test_expose_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ports.parse_expose(text)
    assert caught.value.message == message


@given(
    st.sampled_from(["", "127.0.0.1", "::1"]),
    st.one_of(st.just(""), st.integers(0, 65535).map(str)),
    st.integers(0, 65535),
    st.sampled_from(ports.PROTOCOLS),
)
def test_a_written_mapping_reads_back(address: str, host: str, port: int, proto: str) -> None:
    shown = f"[{address}]" if ":" in address else address
    assert ports.parse_publish(f"{shown}:{host}:{port}/{proto}") == [PortMapping(address, host, port, proto)]


@given(st.one_of(st.text(), st.text(alphabet="0123456789.:-/[]=,udptc\0", max_size=25)))
def test_any_text_is_a_mapping_or_refused(text: str) -> None:
    for parse in (ports.parse_publish, ports.parse_expose, ports.parse_key):
        try:
            parse(text)
        except InvalidArgument:
            continue
