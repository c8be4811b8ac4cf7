"""The options of RUN --mount."""

import pytest

from pydock_daemon.builder import mounts
from pydock_daemon.builder.expand import Words
from pydock_shared.errors import InvalidArgument


def one(text: str) -> mounts.RunMount:
    return mounts.parse([text], Words({"WHERE": "there"}), "/work")[0]


def test_what_a_mount_is_when_little_is_said():
    bind = one("target=in")
    assert (bind.kind, bind.target, bind.source, bind.origin, bind.read_only) == ("bind", "/work/in", "/", "", True)
    cache = one("type=cache,dst=/$WHERE")
    assert (cache.target, cache.name, cache.sharing, cache.read_only) == ("/there", "/there", "shared", False)
    secret = one("type=secret,id=x")
    assert (secret.target, secret.mode, secret.required) == ("/run/secrets/x", 0o400, False)
    assert one("type=secret,target=/a/name").name == "name"
    assert one("type=secret,id=x,env=X").target == ""
    agent = one("type=ssh")
    assert (agent.target, agent.name, agent.mode) == ("/run/buildkit/ssh_agent.0", "default", 0o600)


def test_agents_are_numbered():
    some = mounts.parse(["type=ssh", "type=ssh,id=b"], Words({}), "/")
    assert [mount.target[-1] for mount in some] == ["0", "1"]


def test_all_that_can_be_said():
    bind = one("type=bind,from=a,src=../b,destination=/c,rw")
    assert (bind.origin, bind.source, bind.target, bind.read_only) == ("a", "/b", "/c", False)
    cache = one("type=cache,target=/c,id=i,sharing=private,ro,mode=1770,uid=1,gid=2,from=f,source=s")
    assert (cache.name, cache.sharing, cache.read_only, cache.mode) == ("i", "private", True, 0o1770)
    assert (cache.uid, cache.gid, cache.origin, cache.source) == (1, 2, "f", "/s")
    assert one("type=tmpfs,target=/t,size=2m").size == 2 << 20


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("type=none,target=/x", "unsupported mount type"),
        ("type=bind", "target is required"),
        ("type=cache,target=/", "cannot be the root"),
        ("type=secret", "one of id, target"),
        ("type=tmpfs,target=/x,sise=1", "did you mean size"),
        ("type=cache,target=/x,sharing=some", "unsupported sharing value"),
        ("type=cache,target=/x,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/x,uid=-1", "invalid value -1 for uid"),
        ("type=secret,id=x,required=perhaps", "invalid value for required"),
    ],
)
def test_what_is_wrong(text: str, complaint: str):
    with pytest.raises(InvalidArgument, match=complaint):
        one(text)
