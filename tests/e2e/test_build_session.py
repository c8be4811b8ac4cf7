"""What `pydock build` has beyond the classic protocol: a session, contexts bit by bit, entitlements."""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.e2e.test_build import Project, build, fails, output, project
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine
from tests.fixtures.http import Api

pytestmark = pytest.mark.root
__all__ = ["project"]


def test_an_agent_of_the_client_is_in_a_run(pydock: Cli, daemon: Engine, project: Project, tmp_path: Path):
    if not isinstance(daemon, Engine):
        pytest.skip("by the session of pydock build")
    folder = project(
        Dockerfile="FROM busybox\nRUN --mount=type=ssh,id=mine,mode=0666 echo waiting; "
        "while [ ! -e /tmp/go ]; do sleep 0.05; done\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        with pydock.begin("build", "--no-cache", "--ssh", f"mine={tmp_path}/agent", str(folder)) as build:
            build.until(b"waiting\n")
            made = daemon.api.ok("GET", "/containers/json", filters={"label": ["io.pydock.build"]})[0]
            pid = daemon.api.ok("GET", f"/containers/{made['Id']}/json")["State"]["Pid"]
            inside = f"/proc/{pid}/root/run/buildkit/ssh_agent.0"
            assert Path(inside).stat().st_mode & 0o777 == 0o666
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                asking.settimeout(20)
                asking.connect(inside)
                answering, _ = agent.accept()
                with answering:
                    asking.sendall(b"question")
                    assert answering.recv(100) == b"question"
                    answering.sendall(b"answer")
                    assert asking.recv(100) == b"answer"
            Path(f"/proc/{pid}/root/tmp/go").touch()
            assert build.wait() == 0


def test_a_secret_is_kept_nowhere(pydock: Cli, daemon: Engine, project: Project, tmp_path: Path):
    if not isinstance(daemon, Engine):
        pytest.skip("by the session of pydock build")
    word = "xyzzy-" + "secret-word" * 3
    (tmp_path / "word").write_text(word)
    folder = project(
        Dockerfile="FROM busybox\nRUN --mount=type=secret,id=w --mount=type=secret,id=e,env=E "
        "[ $(cat /run/secrets/w) = $E ] && echo seen >/seen\n"
    )
    options = ("--secret", f"id=w,src={tmp_path}/word", "--secret", "id=e,env=WORD")
    done = pydock.result("build", "-t", "built:1", *options, str(folder), env={"WORD": word})
    assert done.returncode == 0, done.stderr
    assert output(pydock, "cat", "/seen") == "seen"
    found = [
        path
        for path in daemon.root.rglob("*")
        if path.is_file() and not path.is_symlink() and word.encode() in path.read_bytes()
    ]
    assert found == []


def test_only_changed_files_are_sent_again(pydock: Cli, api: Api, project: Project):
    folder = project(Dockerfile="FROM busybox\nCOPY . /all/\n", a="first " * 100, b="same")
    build(pydock, folder)
    lists: list[list[object]] = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        lists.append([path.name, "f", 0o644, 0, len(data), hashlib.sha256(data).hexdigest()])
    lists.append(["new", "f", 0o644, 0, 3, hashlib.sha256(b"new").hexdigest()])
    body = "".join(f"{json.dumps(line)}\n" for line in lists).encode()
    answer = api("POST", "/build/context", body)
    assert (answer.status, answer.body["Missing"]) == (201, [hashlib.sha256(b"new").hexdigest()])
    (folder / "a").write_text("second")
    build(pydock, folder)
    assert output(pydock, "cat", "/all/a") == "second"


def test_caches_out_and_in(pydock: Cli, daemon: Engine, project: Project, tmp_path: Path):
    if not isinstance(daemon, Engine):
        pytest.skip("commands of pydock alone")
    mount = "--mount=type=cache,id=out-and-in,target=/c"
    folder = project(Dockerfile=f"FROM busybox\nRUN {mount} echo kept >/c/f && chmod 640 /c/f && chown 5:6 /c/f\n")
    build(pydock, folder, "--no-cache")
    assert "exec.cachemount" in pydock("builder", "cache", "ls", "--mounts")
    assert "RUN /bin/sh" in pydock("builder", "cache", "ls")
    pydock("builder", "cache", "export", "out-and-in", "-o", str(tmp_path / "c.tar"))
    pydock("builder", "cache", "rm", "out-and-in")
    assert "out-and-in" not in pydock("builder", "cache", "ls", "--mounts")
    pydock.fails("builder", "cache", "export", "out-and-in", code=1, message="no such volume")
    pydock.fails("builder", "cache", "rm", "out-and-in", code=1, message="no such build cache")
    pydock.fails("builder", "cache", "eat", code=1, message="unknown action eat")
    pydock("builder", "cache", "import", "out-and-in", "-i", str(tmp_path / "c.tar"))
    (folder / "Dockerfile").write_text(f"FROM busybox\nRUN {mount} stat -c '%a %u:%g' /c/f >/o && cat /c/f >>/o\n")
    build(pydock, folder, "--no-cache")
    assert output(pydock, "cat", "/o").split() == ["640", "5:6", "kept"]
    assert daemon.api.ok("GET", "/containers/json", all="1") == []


def test_entitlements_are_asked_for(pydock: Cli, project: Project):
    folder = project(Dockerfile="FROM busybox\nRUN --network=host ls /sys/class/net >/links\n")
    assert "network.host is not allowed" in fails(pydock, folder)[1]
    build(pydock, folder, "--allow", "network.host")
    assert "build-insecure" in fails(pydock, folder, "--allow", "security.insecure")[1]
    assert "invalid entitlement x" in fails(pydock, folder, "--allow", "x")[1]


def test_keys_of_the_client_by_the_real_programs(pydock: Cli, project: Project, tmp_path: Path):
    """ssh-add in a RUN finds the key that the command line names, by the agent that it starts for that."""
    program = shutil.which("ssh-add")
    if program is None or not shutil.which("ssh-agent"):
        pytest.skip("OpenSSH's client is not installed")
    folder = project(Dockerfile="FROM busybox\nCOPY root/ /\nRUN --mount=type=ssh,id=mine,required ssh-add -l\n")
    needs = subprocess.run(["ldd", program], capture_output=True, text=True, check=True, timeout=10).stdout
    for path in [program, *re.findall(r"/\S+", needs)]:
        place = folder / "root" / ("bin/ssh-add" if path == program else path.lstrip("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    keys = [str(tmp_path / name) for name in ("open", "closed")]
    for key, word in zip(keys, ("", "passphrase"), strict=True):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", word, "-C", "of-the-test", "-f", key]
        subprocess.run(make, check=True, timeout=20)
    done = pydock.result("build", "--no-cache", "--ssh", f"mine={keys[0]}", str(folder))
    assert (done.returncode, "of-the-test (ED25519)" in done.stdout) == (0, True), done.stdout + done.stderr
    pydock.fails("build", "--ssh", f"mine={keys[1]}", str(folder), code=1, message="could not parse ssh")
    assert not list(Path(tempfile.gettempdir()).glob("pydock-keys-*"))
