"""`-v`, `--mount` and `--tmpfs`: each row was also given to the docker command line, which read it the same."""

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared import mounts
from pydock_shared.errors import InvalidArgument

HERE = os.getcwd()
UP = os.path.dirname(HERE)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/a", ("volume", "/a")),
        ("a", ("volume", "a")),
        ("a:", ("volume", "a:")),
        ("/a:/b", ("bind", "/a:/b")),
        ("/a:/b:ro,z", ("bind", "/a:/b:ro,z")),
        ("data:/b:nocopy", ("bind", "data:/b:nocopy")),
        ("./a:/b", ("bind", f"{HERE}/a:/b")),
        (".:/b", ("bind", f"{HERE}:/b")),
        ("../a:/b", ("bind", f"{UP}/a:/b".replace("//", "/"))),
        (".a:/b", ("bind", f"{HERE}/.a:/b")),
        ("~/a:/b", ("bind", "~/a:/b")),
        ("foo/bar:/x", ("bind", "foo/bar:/x")),
    ],
)
def test_volume(text: str, found: tuple[str, str]) -> None:
    assert mounts.parse_volume(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid empty volume spec"),
        ("/a::/b", "invalid spec: /a::/b: empty section between colons"),
        (":/b", "invalid spec: :/b: empty section between colons"),
        ("/a:", "invalid spec: /a:: empty section between colons"),
        ("/a:/b:ro:z", "invalid spec: /a:/b:ro:z: too many colons"),
    ],
)
def test_volume_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        mounts.parse_volume(text)
    assert caught.value.message == message


def test_tmpfs() -> None:
    assert mounts.parse_tmpfs("/run") == ("/run", "")
    assert mounts.parse_tmpfs("/run:size=64m,mode=1777") == ("/run", "size=64m,mode=1777")


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("dst=/t", {"Type": "volume", "Target": "/t"}),
        ("src=a,destination=/t", {"Type": "volume", "Source": "a", "Target": "/t"}),
        ("type=bind,src=/a,target=/b,ro", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}),
        ("type=bind,src=.,dst=/b,readonly=0", {"Type": "bind", "Source": HERE, "Target": "/b", "ReadOnly": False}),
        ("TYPE=BIND,SRC=./x,DST=/T", {"Type": "bind", "Source": f"{HERE}/x", "Target": "/T"}),
        ('type=bind,"src=/a,b",dst=/c', {"Type": "bind", "Source": "/a,b", "Target": "/c"}),
        ('"src=a""b",dst=/c', {"Type": "volume", "Source": 'a"b', "Target": "/c"}),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=RSHARED,bind-nonrecursive",
            {
                "Type": "bind",
                "Source": "/a",
                "Target": "/b",
                "BindOptions": {"Propagation": "rshared", "NonRecursive": True},
            },
        ),
        (
            "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
            {
                "Type": "bind",
                "Source": "/a",
                "Target": "/b",
                "ReadOnly": True,
                "BindOptions": {"ReadOnlyForceRecursive": True, "Propagation": "rprivate"},
            },
        ),
        (
            "dst=/t,volume-label=a=b,volume-label=c,volume-driver=local,volume-opt=type=nfs,volume-opt=o=x,volume-nocopy",
            {
                "Type": "volume",
                "Target": "/t",
                "VolumeOptions": {
                    "Labels": {"a": "b", "c": ""},
                    "DriverConfig": {"Name": "local", "Options": {"type": "nfs", "o": "x"}},
                    "NoCopy": True,
                },
            },
        ),
        ("dst=/t,volume-subpath=x", {"Type": "volume", "Target": "/t", "VolumeOptions": {"Subpath": "x"}}),
        ("type=image,src=i,dst=/t,image-subpath=x", {
            "Type": "image", "Source": "i", "Target": "/t", "ImageOptions": {"Subpath": "x"},
        }),
        (
            "type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770",
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 64 << 20, "Mode": 0o1770}},
        ),
        ("dst=/t,consistency=Cached", {"Type": "volume", "Target": "/t", "Consistency": "cached"}),
    ],
)  # fmt: skip
def test_mount(text: str, mount: dict[str, Any]) -> None:
    assert mounts.parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid field '' must be a key=value pair"),
        ("src=/a", "target is required"),
        ("type=,dst=/t", "type is required"),
        ("dst=/t,foo", "invalid field 'foo' must be a key=value pair"),
        ("dst=/t,foo=bar", "unexpected key 'foo' in 'foo=bar'"),
        ("dst=/t,ro=x", "invalid value for ro: x"),
        ("type=tmpfs,dst=/t,tmpfs-size=x", "invalid value for tmpfs-size: x"),
        ("type=tmpfs,dst=/t,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ("type=tmpfs,dst=/t,tmpfs-mode=0o7", "invalid value for tmpfs-mode: 0o7"),
        ("type=bind,dst=/t,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
        ("dst=/t,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
        (
            "type=bind,src=/a,dst=/b,bind-recursive=x",
            'invalid value for bind-recursive: x (must be "enabled", "disabled", "writable", or "readonly")',
        ),
        (
            "type=bind,src=/a,dst=/b,bind-recursive=writable",
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction",
        ),
        (
            "type=bind,src=/a,dst=/b,bind-recursive=readonly,ro",
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
        ),
        ('dst="/t"', 'bare " in non-quoted field: dst="/t"'),
        ('"dst=/t', 'extraneous or missing " in quoted field: "dst=/t'),
        ('"dst=/t"x', 'extraneous or missing " in quoted field: "dst=/t"x'),
    ],
)
def test_mount_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        mounts.parse_mount(text)
    assert caught.value.message == message


FIELD = st.text(alphabet='ab",= ', max_size=6)


@given(st.lists(FIELD, min_size=1, max_size=5))
def test_quoted_fields_read_back(fields: list[str]) -> None:
    line = ",".join('"' + field.replace('"', '""') + '"' for field in fields)
    assert mounts.split_csv(line) == fields


@given(st.one_of(st.text(), st.text(alphabet='typedsrcbinvolum-=/:."0,', max_size=40)))
def test_any_text_is_a_mount_or_refused(text: str) -> None:
    for parse in (mounts.parse_mount, mounts.parse_volume):
        try:
            parse(text)
        except InvalidArgument:
            continue
