"""Tables, JSON and templates of lists, as docker prints them."""

import time
from typing import Any

import pytest
from tests.client.conftest import Send, needs_docker
from tests.client.recorder import Answer, Answers

from pydock_client.commands.ps import LISTING, format_ports
from pydock_client.format import align, ellipsis, short

NOW = int(time.time())
CONTAINERS: list[dict[str, Any]] = [
    {
        "Id": "a" * 64,
        "Names": ["/web", "/other/alias"],
        "Image": "nginx:1@sha256:" + "b" * 64,
        "Command": 'sh -c "a very long command indeed"',
        "Created": NOW - 7200,
        "State": "running",
        "Status": "Up 2 hours (healthy)",
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
            {"PrivatePort": 443, "Type": "tcp"},
        ],
        "Labels": {"b": "2", "a": "1"},
        "SizeRw": 1234567,
        "SizeRootFs": 7654321,
        "Mounts": [{"Name": "v" * 64, "Driver": "local"}, {"Source": "/srv"}],
        "NetworkSettings": {"Networks": {"bridge": {}}},
    },
    {
        "Id": "c" * 64,
        "Names": ["/db"],
        "Image": "sha256:" + "d" * 64,
        "Command": "true",
        "Created": NOW - 86400 * 40,
        "State": "exited",
        "Status": "Exited (0) 5 weeks ago",
        "Ports": [],
        "Labels": {},
        "Mounts": [],
        "NetworkSettings": {"Networks": {}},
    },
]
IMAGES: list[dict[str, Any]] = [
    {
        "Id": "sha256:" + "a" * 64,
        "RepoTags": ["b:1", "b:2"],
        "RepoDigests": ["b@sha256:" + "e" * 64, "other@sha256:" + "1" * 64],
        "Created": NOW - 60,
        "Size": 4260000,
    },
    {
        "Id": "sha256:" + "b" * 64,
        "RepoTags": [],
        "RepoDigests": ["c@sha256:" + "f" * 64, "c@sha256:" + "2" * 64],
        "Created": NOW - 3600,
        "Size": 99,
        "SharedSize": -1,
        "Containers": -1,
    },
    {"Id": "sha256:" + "c" * 64, "RepoTags": None, "RepoDigests": None, "Created": 0, "Size": 1234567890},
]
NETWORKS = [
    {"Id": "b" * 64, "Name": "web", "Driver": "bridge", "Scope": "local", "EnableIPv4": True, "EnableIPv6": False,
     "Internal": True, "Labels": {"a": "b"}, "Created": "2026-01-02T03:04:05.6Z"},
    {"Id": "a" * 64, "Name": "bridge", "Driver": "bridge", "Scope": "local", "EnableIPv4": True, "EnableIPv6": False,
     "Internal": False, "Labels": None, "Created": "2026-01-02T03:04:05Z"},
]  # fmt: skip
VOLUMES = {
    "Volumes": [
        {"Name": "b", "Driver": "local", "Scope": "local", "Mountpoint": "/m", "Labels": None},
        {"Name": "a", "Driver": "nfs", "Scope": "local", "Mountpoint": "/n", "Labels": {"x": "y"}},
    ],
    "Warnings": None,
}
HISTORY = [
    {"Id": "sha256:" + "a" * 64, "Created": NOW - 60, "CreatedBy": "CMD [\"sh\"]", "Size": 0, "Comment": "c"},
    {"Id": "<missing>", "Created": NOW - 60, "CreatedBy": "RUN " + "x" * 80, "Size": 4200000, "Comment": ""},
]  # fmt: skip
ANSWERS: Answers = {
    ("GET", "/containers/json"): Answer(body=CONTAINERS),
    ("GET", "/images/json"): Answer(body=IMAGES),
    ("GET", "/networks"): Answer(body=NETWORKS),
    ("GET", "/volumes"): Answer(body=VOLUMES),
    ("GET", "/images/x/history"): Answer(body=HISTORY),
    ("GET", "/containers/x/json"): Answer(body={"NetworkSettings": {"Ports": {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "9/udp": [{"HostIp": "1.2.3.4", "HostPort": "9"}], "10/tcp": None}}}),
    ("GET", "/containers/x/top"): Answer(
        body={"Titles": ["PID", "CMD"], "Processes": [["1", "sleep 1"], ["22", "sh"]]}),
    ("GET", "/containers/x/changes"): Answer(
        body=[{"Kind": 0, "Path": "/a"}, {"Kind": 1, "Path": "/b"}, {"Kind": 2, "Path": "/c"}]),
}  # fmt: skip

LINES = [
    ["ps"],
    ["ps", "-a", "--no-trunc"],
    ["ps", "-q"],
    ["ps", "-q", "--no-trunc"],
    ["ps", "-s"],
    ["ps", "--format", "json"],
    ["ps", "--format", "table {{.ID}}\\t{{.Names}}\\t{{.Ports}}"],
    ["ps", "--format", 'table {{.Label "a"}}\\t{{.State}}'],
    ["ps", "--format", "{{.ID}}: {{.Mounts}} {{.LocalVolumes}} {{.Networks}} {{.CreatedAt}} {{.Labels}}"],
    ["ps", "--format", '{{.Names}} {{.Label "b"}} {{.RunningFor}}'],
    ["ps", "--format", "{{json .}}"],
    ["ps", "--format", "{{.Nope}}"],
    ["ps", "--format", "{{"],
    ["images"],
    ["images", "-q"],
    ["images", "--no-trunc"],
    ["images", "--digests"],
    ["images", "--format", "json"],
    ["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.CreatedSince}}"],
    ["images", "--format", "table {{.ID}}\\t{{.Digest}}"],
    ["network", "ls"],
    ["network", "ls", "-q"],
    ["network", "ls", "--no-trunc"],
    ["network", "ls", "--format", "{{.Name}} {{.Labels}} {{.CreatedAt}} {{.Internal}} {{.IPv6}}"],
    ["volume", "ls"],
    ["volume", "ls", "-q"],
    ["volume", "ls", "--format", "json"],
    ["volume", "ls", "--format", "{{.Name}} {{.Mountpoint}} {{.Labels}}"],
    ["history", "x"],
    ["history", "--no-trunc", "x"],
    ["history", "-q", "x"],
    ["history", "-H=false", "x"],
    ["port", "x"],
    ["port", "x", "80"],
    ["port", "x", "9/udp"],
    ["port", "x", "81"],
    ["port", "x", "y"],
    ["top", "x"],
    ["diff", "x"],
]


@pytest.mark.parametrize("words", LINES, ids=[" ".join(words) for words in LINES])
def test_prints_what_docker_prints(send: Send, words: list[str]):
    needs_docker(28)
    theirs, _ = send("docker", *words, answers=ANSWERS)
    ours, _ = send("pydock", *words, answers=ANSWERS)
    assert ours.stdout == theirs.stdout
    assert ours.stderr == theirs.stderr
    assert ours.returncode == theirs.returncode


def port(inner: int, outer: int = 0, address: str = "", kind: str = "tcp") -> dict[str, Any]:
    """A port as the API lists it."""
    published = {"IP": address, "PublicPort": outer} if address else {}
    return {"PrivatePort": inner, "Type": kind, **published}


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(81), port(80), port(82), port(90)], "80-82/tcp, 90/tcp"),
        ([port(80, 80, "0.0.0.0"), port(81, 81, "0.0.0.0")], "0.0.0.0:80-81->80-81/tcp"),
        ([port(80, 8080, "0.0.0.0"), port(80, 8080, "::")], "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        ([port(53, kind="udp"), port(53)], "53/tcp, 53/udp"),
    ],
)
def test_ports(entries: list[dict[str, Any]], text: str):
    assert format_ports(entries) == text


def test_columns_are_three_apart_and_ten_wide_at_least():
    assert (
        align([["A", "LONG HEADING", "C"], ["1", "2", "3"]])
        == "A         LONG HEADING   C\n1         2              3\n"
    )


def test_an_empty_list_has_its_headings(capsys: pytest.CaptureFixture[str]):
    LISTING.show([])
    assert capsys.readouterr().out == "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"


def test_cut_texts():
    assert short("sha256:" + "a" * 64, truncate=True) == "a" * 12
    assert short("sha256:aa", truncate=False) == "sha256:aa"
    assert ellipsis("abcdef", 4) == "abc…"
    assert ellipsis("abcd", 4) == "abcd"
