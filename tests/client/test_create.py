"""What `create` sends is what the docker command line sends: it is asked on the spot, against the same recorder."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.client.conftest import Send, needs_docker

# Command lines that mean the same to every docker since 26
LINES = """
x
x sh -c 'echo -it --rm'
-it --name web x
-i x cat
-t x
-a stdin -a stderr x
-a STDOUT x
-e A=b -e HOME -e NOT_SET_ANYWHERE -e A=c x
--env-file {folder}/env -e LAST=1 x
-l a -l b=c=d x
--label-file {folder}/env x
-v /a:/b -v name:/c:ro -v /anonymous x
-v ./here:/b x
--mount type=bind,src=/a,dst=/b,ro --mount type=volume,dst=/c,volume-label=a=b --mount type=tmpfs,dst=/d,tmpfs-size=1m x
--tmpfs /a --tmpfs /b:size=3m,mode=1777 x
--volumes-from a:ro --volume-driver d x
-p 80 -p 8080:80/udp -p 127.0.0.1:9000-9002:9000-9002 -p '[::1]:1:1' x
-p 8000-8002:80 x
-P --expose 80-82 --expose 53/udp x
-m 64m --memory-reservation 32m --memory-swap -1 --memory-swappiness 0 x
--cpus 1.5 -c 3 --cpu-period 100000 --cpu-quota 5 --cpu-rt-period 3 --cpu-rt-runtime 4 x
--cpuset-cpus 0-1 --cpuset-mems 0 --pids-limit -1 --blkio-weight 20 x
--shm-size 1g --oom-kill-disable --oom-score-adj -5 x
--device /dev/null --device /dev/zero:/dev/z --device /dev/zero:r --device /dev/full:/dev/f:rw x
--ulimit nofile=1024:2048 --ulimit nproc=5 x
--privileged --read-only --init x
--init=false x
-h name --domainname dom -u 1:2 -w /a --entrypoint /bin/sh x
--entrypoint '' x
--stop-signal TERM --stop-timeout 0 x
--stop-timeout 7 x
--restart on-failure:3 x
--restart always x
--rm x
--restart no --rm x
--health-cmd 'x y' --health-interval 5s --health-retries 3 --health-timeout 1m --health-start-period 2s x
--no-healthcheck x
--ipc host --pid host --uts host --userns host x
--ipc container:a --pid container:a --cgroupns private x
--security-opt no-new-privileges --security-opt apparmor=foo --security-opt label:disable x
--security-opt seccomp=unconfined --security-opt systempaths=unconfined x
--security-opt seccomp={folder}/profile.json x
--group-add a --group-add 7 x
--dns 1.1.1.1 --dns-search . --dns-option a x
--dns-opt b --dns-search example.com x
--add-host a:1.2.3.4 --add-host b:::1 --add-host c:host-gateway x
--sysctl net.ipv4.ip_forward=1 --storage-opt size=10G --runtime r x
--log-driver json-file --log-opt max-size=1m --log-opt a=b x
--network host x
--network none x
--network container:a x
--network net --network-alias a --network-alias b --ip 1.2.3.4 --ip6 ::2 --link-local-ip 169.254.1.1 x
--net net --net-alias a x
--network net --link a:b --link c x
--link a:b x
--cgroup-parent /a --isolation default x
--gpus all x
--gpus 2 x
--gpus '"device=0,1",capabilities=utility' x
--cidfile {folder}/id x
--platform linux/amd64 x
--pull never -q x
--rm=false --tty=true -i=0 x
""".strip().splitlines()

# and those of newer versions
NEWER = """
28.0 --blkio-weight-device /dev/a:300 --device-read-bps /dev/a:1mb --device-write-bps /dev/a:1 x
28.0 --device-read-iops /dev/a:3 --device-write-iops /dev/a:4 --device-cgroup-rule 'c 1:3 rwm' x
28.0 --cap-add net_admin --cap-add CAP_SYS_TIME --cap-drop all x
28.0 --cap-add all --cap-drop ALL x
28.0 --network name=net,alias=a,alias=b,driver-opt=x=y,gw-priority=3 x
28.0 --network net --network other x
26.0 --network net --mac-address 02:42:ac:11:00:02 x
26.0 --mac-address 02:42:ac:11:00:02 x
26.0 --annotation a=b --annotation c x
26.0 --health-cmd x --health-start-interval 5s x
26.0 --add-host c=::1 --add-host d:[::1] x
26.0 --device vendor.com/class=name x
26.0 --dns-option a --ip 1.2.3.4 --network host x
""".strip().splitlines()


EXPLICIT = ("MaskedPaths", "ReadonlyPaths")  # an empty list is not the same as none here


def filled(template: Any, value: Any, name: str = "") -> Any:
    """Value with what it lacks taken from a template: what docker sends for an option that was not given."""
    if isinstance(template, dict) and isinstance(value, dict):
        keys = template.keys() | value.keys()
        return {key: filled(template.get(key), value.get(key, template.get(key)), key) for key in keys}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [pruned(entry) for entry in value]
    if name in ("Binds", "Env") and value:
        return sorted(value)  # docker keeps these in a map, whose order is none
    return None if value in (None, "", [], {}) and name not in EXPLICIT else value


def pruned(value: Any) -> Any:
    """Value without what is empty."""
    if isinstance(value, dict):
        kept = {key: pruned(entry) for key, entry in value.items()}
        return {key: entry for key, entry in kept.items() if entry not in (None, "", 0, False, [], {})}
    return [pruned(entry) for entry in value] if isinstance(value, list) else value


def endpoints(body: dict[str, Any]) -> dict[str, Any]:
    """The endpoints that say anything: docker names the default network even when it has nothing to say about it."""
    found = (body.pop("NetworkingConfig", None) or {}).get("EndpointsConfig") or {}
    kept = {name: pruned(endpoint) for name, endpoint in found.items()}
    return {name: endpoint for name, endpoint in kept.items() if endpoint or len(kept) > 1}


def compare(send: Send, folder: Path, line: str) -> None:
    """Both programs create a container with the same options; the requests must mean the same."""
    (folder / "env").write_text("# comment\nFROM=file\n\n  LED=by space\n")
    (folder / "profile.json").write_text('{ "defaultAction": "SCMP_ACT_ALLOW",\n "x": ["<&>"] }')
    words = shlex.split(line.format(folder=folder))
    sent = {}
    for program in ("docker", "pydock"):
        result, requests = send(program, "create", *words)
        assert result.returncode == 0, result.stderr
        (folder / "id").unlink(missing_ok=True)
        sent[program] = next(request for request in requests if request.path == "/containers/create")
    _, requests = send("docker", "create", "x")
    bare = next(request for request in requests if request.path == "/containers/create").body
    theirs, ours = sent["docker"], sent["pydock"]
    assert ours.query == theirs.query
    assert endpoints(ours.body) == endpoints(theirs.body)
    bare.pop("NetworkingConfig", None)
    assert filled(bare, ours.body) == filled(bare, theirs.body)


@pytest.mark.parametrize("line", LINES)
def test_sends_what_docker_sends(send: Send, tmp_path: Path, line: str):
    needs_docker(26)
    compare(send, tmp_path, line)


@pytest.mark.parametrize("line", NEWER)
def test_sends_what_newer_dockers_send(send: Send, tmp_path: Path, line: str):
    version, _, rest = line.partition(" ")
    needs_docker(*(int(part) for part in version.split(".")))
    compare(send, tmp_path, rest)


WRONG = """
--memory abc x
-m
--bogus x
-Z x
--cpus abc x
--cpus 1.23456789012 x
--sysctl foo x
--sysctl kernel.foo=1 x
--ulimit foo x
--ulimit nofile=a x
--ulimit nofile=5:2 x
--ulimit nofile=1:2:3 x
--gpus foo x
--blkio-weight -1 x
--blkio-weight 99999 x
--pids-limit abc x
--health-interval x y
--add-host foo x
--add-host a:b x
--link a:b:c x
-a foo x
--restart a:b x
--restart :3 x
--storage-opt foo x
--device-read-bps foo x
--blkio-weight-device a:1 x
--memory-swappiness 999 x
--health-cmd a --no-healthcheck x
--health-retries -1 x
--pid foo x
--uts foo x
--userns foo x
--security-opt foo x
--security-opt seccomp=/nonexistent x
--device-cgroup-rule foo x
-e '' x
-e =a x
--label '' x
--shm-size foo x
--dns foo x
--dns-search '#' x
--log-driver none --log-opt a=b x
--env-file /nonexistent x
--network-alias a x
--network host --network-alias a x
--pull foo x
-p a:b x
--rm --restart always x
--mac-address foo x
--rm=maybe x
""".strip().splitlines()


@pytest.mark.parametrize("line", WRONG)
def test_refuses_what_docker_refuses_in_its_words(send: Send, line: str):
    needs_docker(28)
    words = shlex.split(line)
    theirs, _ = send("docker", "create", *words)
    ours, requests = send("pydock", "create", *words)
    assert ours.returncode == theirs.returncode == 125
    assert ours.stderr == theirs.stderr.replace("docker", "pydock")
    assert not requests


def test_flags_of_windows_are_refused_by_name(send: Send):
    result, requests = send("pydock", "create", "--cpu-count", "2", "x")
    assert result.returncode == 125
    assert "--cpu-count is not supported" in result.stderr
    assert not requests


def test_only_what_was_asked_for_is_sent(send: Send):
    _, requests = send("pydock", "create", "x")
    assert requests[0].body == {
        "Image": "x",
        "HostConfig": {"NetworkMode": "default"},
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
    }
