"""--userns-remap: the root of a container is nobody on the host, and nothing else is different. Docker's words."""

import io
import os
import re
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.leaks import left_behind, picture
from tests.fixtures.remapped import COUNT, FIRST, RemappedEngine

OTHER_HOST = os.environ.get("PYDOCK_TEST_HOST")
CAPABLE = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
"""security.capability: cap_net_raw+ep, as layers have it; linux/capability.h."""


def made(tmp_path_factory: pytest.TempPathFactory, base: Path, *options: str) -> Iterator[RemappedEngine]:
    if OTHER_HOST:
        pytest.skip("PYDOCK_TEST_HOST names a daemon that is not ours to start")
    before, engine = picture(), RemappedEngine(tmp_path_factory.mktemp("remapped"), *options)
    try:
        engine.start()
        engine.api.ok("POST", "/images/load", base.read_bytes())
        yield engine
    finally:
        engine.destroy()
    assert left_behind(before, engine.marks) == []


@pytest.fixture(scope="module")
def remapped(tmp_path_factory: pytest.TempPathFactory, base_archive: Path) -> Iterator[RemappedEngine]:
    """A daemon whose containers have ids of their own."""
    yield from made(tmp_path_factory, base_archive, "--experimental", "--add-runtime", "other=/bin/true")


@pytest.fixture
def docker(remapped: RemappedEngine, tmp_path: Path) -> Iterator[Cli]:
    yield Cli("docker", remapped.host, tmp_path)
    remapped.clear()


@pytest.fixture
def pydock(remapped: RemappedEngine, tmp_path: Path) -> Iterator[Cli]:
    yield Cli("pydock", remapped.host, tmp_path)
    remapped.clear()


def pid_of(engine: Engine, name: str) -> int:
    return int(engine.api.ok("GET", f"/containers/{name}/json")["State"]["Pid"])


def test_the_root_of_a_container_is_somebody_else_on_the_host(docker: Cli, remapped: RemappedEngine):
    script = "id -u; cat /proc/self/uid_map /proc/self/gid_map; touch /new; stat -c '%u %g' /new /bin; sleep 100"
    docker("run", "-d", "--name", "one", "busybox", "sh", "-c", script)
    docker("run", "-d", "--name", "two", "busybox", "sleep", "100")
    eventually(lambda: len(docker("logs", "one").splitlines()) == 5)
    lines = docker("logs", "one").splitlines()
    assert [line.split() for line in lines[:3]] == [["0"], ["0", str(FIRST), str(COUNT)], ["0", str(FIRST), str(COUNT)]]
    assert lines[3:] == ["0 0", "0 0"]
    pid = pid_of(remapped, "one")
    assert os.stat(f"/proc/{pid}").st_uid == FIRST
    written = remapped.root / "data/overlay/containers" / docker("inspect", "-f", "{{.Id}}", "one") / "diff/new"
    assert (written.stat().st_uid, written.stat().st_gid) == (0, 0)
    assert f"\n{FIRST} " in docker("top", "one")
    spaces = {os.readlink(f"/proc/{pid_of(remapped, name)}/ns/user") for name in ("one", "two")}
    assert len(spaces - {os.readlink("/proc/self/ns/user")}) == 2


def test_it_says_so(docker: Cli, remapped: RemappedEngine):
    assert "name=userns" in docker("info", "-f", "{{.SecurityOptions}}")
    docker("create", "--name", "host", "--userns", "host", "busybox", "true")
    docker("create", "--name", "own", "busybox", "true")
    assert docker("inspect", "-f", "<{{.HostConfig.UsernsMode}}>", "host", "own").split() == ["<host>", "<>"]


PRIVILEGED = (
    "privileged mode is incompatible with user namespaces.  "
    "You must run the container in the host namespace when running privileged mode"
)


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ({"Privileged": True}, 400, PRIVILEGED),
        ({"NetworkMode": "host"}, 400, "cannot share the host's network namespace when user namespaces are enabled"),
        ({"PidMode": "host"}, 400, "cannot share the host PID namespace when user namespaces are enabled"),
        ({"IpcMode": "host"}, 400, "cannot share the host's IPC namespace when user namespaces are enabled"),
        ({"Runtime": "other"}, 501, "runtime other is not supported when user namespaces are enabled"),
        ({"UsernsMode": "bad"}, 501, "HostConfig.UsernsMode is not supported"),
    ],
)
def test_what_cannot_be(remapped: RemappedEngine, host: dict[str, object], status: int, words: str):
    answer = remapped.api("POST", "/containers/create", {"Image": "busybox", "HostConfig": host})
    assert (answer.status, answer.body["message"]) == (status, words)


def test_the_host_s_users_for_who_asks(docker: Cli, pydock: Cli):
    options = ("--userns", "host", "--privileged", "--pid", "host", "--network", "host", "--ipc", "host")
    for cli in (docker, pydock):
        assert cli("run", "--rm", *options, "busybox", "readlink", "/proc/self/ns/user") == os.readlink(
            "/proc/self/ns/user"
        )


def test_namespaces_are_shared_with_their_users(docker: Cli):
    docker("run", "-d", "--name", "own", "--ipc", "shareable", "busybox", "sh", "-c", "echo x >/dev/shm/f; sleep 100")
    docker("run", "-d", "--name", "more", "busybox", "sleep", "100")
    docker("run", "-d", "--name", "host", "--userns", "host", "--ipc", "shareable", "busybox", "sleep", "100")
    joined = ("--network", "container:own", "--pid", "container:own", "--ipc", "container:own")
    script = "cat /dev/shm/f; readlink /proc/self/ns/user; readlink /proc/1/ns/user; ps | grep -c 'sleep 100'"
    lines = docker("run", "--rm", *joined, "busybox", "sh", "-c", script).splitlines()
    assert lines[0] == "x"
    assert lines[1] == lines[2] != os.readlink("/proc/self/ns/user")
    # who has the host's may look into any
    assert docker("run", "--rm", "--userns", "host", *joined, "busybox", "cat", "/dev/shm/f") == "x"
    two = ("--network", "container:own", "--pid", "container:more")
    docker.fails("run", "--rm", *two, "busybox", "true", code=125, message="in different user namespaces")
    into = ("--network", "container:host")
    docker.fails("run", "--rm", *into, "busybox", "true", code=125, message="in the host's user namespace")


def test_files_of_the_host_stay_the_host_s(docker: Cli, tmp_path: Path):
    closed, own = tmp_path / "closed", tmp_path / "own"
    closed.mkdir(mode=0o755)
    (closed / "secret").write_text("secret")
    (closed / "secret").chmod(0o600)
    own.mkdir()
    os.chown(own, FIRST + 7, FIRST + 8)
    script = (
        "stat -c '%u %g' /closed /own; cat /closed/secret || echo no; touch /closed/new || echo no; "
        "chown 0 /closed/secret || echo no; rm -f /closed/secret || echo no; chmod 4777 /closed/secret || echo no; "
        "touch /own/new; touch /made/new; chown 5:6 /made/new"
    )
    mounts = ("-v", f"{closed}:/closed", "-v", f"{own}:/own", "-v", f"{tmp_path}/made:/made")
    lines = docker("run", "--rm", *mounts, "busybox", "sh", "-c", script).splitlines()
    assert lines == ["65534 65534", "7 8", *["no"] * 5]
    assert sorted(path.name for path in closed.iterdir()) == ["secret"]
    assert [(tmp_path / name).stat().st_uid for name in ("own/new", "made", "made/new")] == [FIRST, FIRST, FIRST + 5]


def test_volumes_are_the_same_for_all(docker: Cli, remapped: RemappedEngine):
    script = "stat -c '%u %g' /v; echo one >/v/f; chown 1000:1001 /v/f; mkdir -m 700 /v/d"
    assert docker("run", "--rm", "-v", "shared:/v", "busybox", "sh", "-c", script) == "0 0"
    place = remapped.root / "data/volumes/shared/_data"
    assert [(place / name).stat().st_uid for name in ("f", "d")] == [1000, 0]
    again = ("run", "--rm", "-v", "shared:/v", "busybox", "stat", "-c", "%u", "/v/f", "/v/d")
    assert docker(*again).split() == ["1000", "0"]
    assert docker("run", "--userns", "host", *again[1:]).split() == ["1000", "0"]
    # filled from the image, and a part of a volume
    assert docker("run", "--rm", "-v", "new:/etc", "busybox", "stat", "-c", "%u", "/etc/passwd") == "0"
    part = "type=volume,src=shared,dst=/part,volume-subpath=d"
    assert docker("run", "--rm", "--mount", part, "busybox", "stat", "-c", "%u", "/part") == "0"


def test_streams_terminals_and_files_of_the_engine_are_its_own(docker: Cli):
    script = "echo out >/dev/stdout; cat /dev/stdin; echo 127.0.0.9 more >>/etc/hosts && wc -c </dev/null"
    given = ("run", "--rm", "-i", "busybox", "sh", "-c", script)
    assert docker(*given, stdin="in\n").split() == ["out", "in", "0"]
    assert docker("run", "--rm", "-u", "1000", "busybox", "sh", "-c", "echo out >/dev/stdout; id -u") == "out\n1000"
    with docker.terminal("run", "--rm", "-it", "-u", "1000", "busybox", "sh", "-c", "echo $(tty) >$(tty)") as screen:
        screen.until(b"/dev/pts/0")
    docker("run", "-d", "--name", "one", "busybox", "sleep", "100")
    user = ("exec", "-u", "5", "one", "sh", "-c", "echo out >/dev/stdout; readlink /proc/self/ns/user; id -u")
    assert docker(*user).split()[::2] == ["out", "5"]
    assert docker(*user).split()[1] == docker("exec", "one", "readlink", "/proc/1/ns/user")


def test_limits_tmpfs_devices_and_a_read_only_root(docker: Cli):
    options = ("--ulimit", "nofile=99:99", "--oom-score-adj", "100", "--tmpfs", "/t", "--read-only")
    script = "ulimit -n; cat /proc/self/oom_score_adj; stat -c %u /t; touch /no || echo ro; head -c 3 /dev/foo | wc -c"
    devices = ("--device", "/dev/zero:/dev/foo", "--init")
    done = docker("run", "--rm", *options, *devices, "busybox", "sh", "-c", script)
    assert done.split() == ["99", "100", "0", "ro", "3"]
    words = "unable to setup user: cannot set uid to unmapped user in user namespace"
    docker.fails("run", "--rm", "-u", str(COUNT), "busybox", "true", code=125, message=words)


def test_networks_belong_to_the_container(docker: Cli, remapped: RemappedEngine):
    docker("network", "create", "net")
    docker("run", "-d", "--name", "web", "--network", "net", "-p", "127.0.0.1::80", "busybox",
           "httpd", "-f", "-p", "80", "-h", "/etc")  # fmt: skip
    port = docker("port", "web", "80").partition(":")[2]
    named = docker("exec", "web", "cat", "/etc/hostname")
    fetch = ["busybox", "wget", "-qO-", f"http://127.0.0.1:{port}/hostname"]
    assert subprocess.run(fetch, capture_output=True, text=True, check=True).stdout.strip() == named
    options = ("--network", "net", "--cap-add", "NET_ADMIN", "--sysctl", "net.ipv4.ip_forward=1")
    script = (
        "wget -qO- http://web/hostname; ip addr add 10.9.9.9/24 dev lo && ip link set lo mtu 1400; "
        "cat /proc/sys/net/ipv4/ip_forward; ping -c1 127.0.0.1 | grep -c ttl"
    )
    assert docker("run", "--rm", *options, "busybox", "sh", "-c", script).split() == [named, "1", "1"]


def evil() -> bytes:
    """An image with what a layer may have to get at the host: setuid files, nodes, capabilities, ids beyond all."""
    busybox = Path("/bin/busybox").read_bytes()
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, mode, uid, attributes in (
            ("busybox", 0o755, 0, {}),
            ("suid/busybox", 0o4755, 0, {}),
            ("capable/busybox", 0o755, 0, {"SCHILY.xattr.security.capability": CAPABLE.decode("latin-1")}),
            ("beyond", 0o4755, 70000, {}),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.pax_headers = len(busybox), mode, uid, attributes
            archive.addfile(entry, io.BytesIO(busybox))
        users = b"root:!:0:0::/:/busybox\nweb:!:1000:1000::/:/busybox\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(users)
        archive.addfile(entry, io.BytesIO(users))
        for name, kind, number in (("disk", tarfile.BLKTYPE, (254, 0)), ("mem", tarfile.CHRTYPE, (1, 1))):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, (entry.devmajor, entry.devminor) = kind, 0o666, number
            archive.addfile(entry)
    return output.getvalue()


def test_attacks_by_what_is_in_layers(docker: Cli, remapped: RemappedEngine):
    remapped.api.ok("POST", "/images/create", evil(), fromSrc="-", repo="evil")
    docker("run", "-d", "-i", "--name", "evil", "-u", "1000", "evil", "/suid/busybox", "su")  # waits for a password
    ids = Path(f"/proc/{pid_of(remapped, 'evil')}/status").read_text().split("Uid:")[1].split()[:2]
    assert ids == [str(FIRST + 1000), str(FIRST)]  # its setuid root is the container's
    capable = docker("exec", "evil", "/capable/busybox", "grep", "CapEff", "/proc/self/status")
    assert capable.split()[1] == "0000000000002000"
    root = ("exec", "-u", "0", "--privileged", "evil", "/busybox")
    assert docker(*root, "stat", "-c", "%u", "/beyond") == "65534"
    # nothing that all capabilities of its own could do to what is not its own
    for command in (
        "chown 0 /beyond",
        "head -c1 /disk",
        "head -c1 /mem",
        "mknod /sda b 254 0",
        "echo h >/proc/sysrq-trigger",
        "echo x >/proc/sys/kernel/core_pattern",
        "mount -t ext4 /disk /etc",
        "mount -o remount,rw /sys",
        "umount /proc/kcore",
        "chroot /proc/1/root /suid/busybox mknod /sda b 254 0",
    ):
        done = docker.result(*root, "sh", "-c", command)
        assert done.returncode not in (0, 125, 126, 127), command
        assert re.search("denied|permitted|can't|Invalid", done.stderr), (command, done.stderr)


def test_files_in_and_out(docker: Cli, tmp_path: Path):
    (tmp_path / "file").write_text("content")
    os.chown(tmp_path / "file", 1000, 1001)
    docker("run", "-d", "--name", "one", "-v", "vol:/v", "busybox", "sh", "-c", "chown 5:6 /tmp; sleep 100")
    for name in ("/in", "/v/in"):
        docker("cp", "-a", str(tmp_path / "file"), f"one:{name}")
    assert docker("exec", "one", "stat", "-c", "%u %g", "/in", "/v/in").splitlines() == ["1000 1001"] * 2
    with tarfile.open(fileobj=io.BytesIO(archive(docker, "one:/in"))) as found:
        assert [(entry.uid, entry.gid) for entry in found] == [(1000, 1001)]
    os.chown(tmp_path / "file", COUNT, 0)
    words = f"Container ID {COUNT} cannot be mapped to a host ID"
    docker.fails("cp", "-a", str(tmp_path / "file"), "one:/in", code=1, message=words)
    docker("stop", "-t0", "one")
    docker.fails("cp", "-a", str(tmp_path / "file"), "one:/in", code=1, message=words)
    os.chown(tmp_path / "file", 0, 0)
    docker("cp", str(tmp_path / "file"), "one:/v/late")
    assert sorted(docker("diff", "one").splitlines())[:2] == ["A /in", "A /v"]
    docker("commit", "one", "committed")
    look = ("busybox", "stat", "-c", "%u", "/in", "/tmp")
    for users in ((), ("--userns", "host")):
        assert docker("run", "--rm", *users, "committed", *look[1:]).split() == ["1000", "5"]
    assert docker("run", "--rm", "-v", "vol:/v", "busybox", "stat", "-c", "%u", "/v/late") == "0"


def archive(docker: Cli, place: str) -> bytes:
    return docker.result("cp", place, "-").stdout.encode("latin-1")


def test_files_of_a_stopped_container_s_bind_mounts(docker: Cli, tmp_path: Path):
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, FIRST, FIRST)
    (own / "of-root").touch()
    docker("create", "--name", "one", "-v", f"{own}:/own", "busybox", "true")
    (tmp_path / "file").write_text("content")
    docker("cp", str(tmp_path / "file"), "one:/own/file")
    assert (own / "file").stat().st_uid == FIRST
    owners = {}
    with tarfile.open(fileobj=io.BytesIO(archive(docker, "one:/own"))) as found:
        owners = {entry.name: entry.uid for entry in found}
    assert owners == {"own": 0, "own/file": 0, "own/of-root": 65534}


DOCKERFILE = f"""\
FROM busybox AS first
RUN grep -q {FIRST} /proc/self/uid_map && mkdir /d && touch /d/made && chown 7:8 /d
RUN --mount=type=secret,id=word [ "$(stat -c %u /run/secrets/word)" = 0 ] && cat /run/secrets/word >/word
RUN --mount=type=cache,target=/c touch /c/x && [ "$(stat -c %u /c)" = 0 ]
USER 1000
RUN --mount=type=cache,target=/cc,uid=1000 touch /cc/x
RUN --mount=type=secret,id=word,uid=1000 cat /run/secrets/word
FROM busybox
RUN --mount=type=bind,from=first,target=/from,rw touch /from/d/new && cp -a /from/d /taken
RUN --mount=type=bind,target=/context cp /context/Dockerfile /copied
COPY --from=first --chown=9:9 /d /given
COPY --from=first /word /word
"""


def test_builds_run_with_other_users_and_keep_plain_ones(pydock: Cli, tmp_path: Path):
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "word").write_text("word")
    secret = f"id=word,src={tmp_path / 'word'}"
    pydock("build", "--no-cache", "-t", "built", "--secret", secret, str(tmp_path), timeout=60)
    look = ("built", "sh", "-c", "stat -c '%n %u %g' /taken /taken/new /copied /given; cat /word")
    expected = ["/taken 7 8", "/taken/new 0 0", "/copied 0 0", "/given 9 9", "word"]
    for users in ((), ("--userns", "host")):
        assert pydock("run", "--rm", *users, *look).splitlines() == expected


def test_health_checks_and_what_is_refused_later(docker: Cli):
    options = ("--health-cmd", "touch /h && [ $(id -u) = 0 ]", "--health-interval", "200ms")
    docker("run", "-d", "--name", "one", *options, "busybox", "sleep", "100")
    eventually(lambda: docker("inspect", "-f", "{{.State.Health.Status}}", "one") == "healthy")
    words = "checkpoints are not supported when user namespaces are enabled"
    docker.fails("checkpoint", "create", "one", "point", code=1, message=words)


def test_they_outlive_daemon_and_supervisor_and_the_option(docker: Cli, remapped: RemappedEngine):
    docker("run", "-d", "--name", "one", "busybox", "sh", "-c", "touch /before; sleep 100")
    docker("create", "--name", "host-network", "--userns", "host", "--network", "host", "busybox", "id", "-u")
    script = "cat /proc/self/uid_map; stat -c %u /before; echo out >/dev/stdout"
    expected = docker("exec", "one", "sh", "-c", script).split()
    assert expected == ["0", str(FIRST), str(COUNT), "0", "out"]
    (supervisor,) = remapped.supervisors()
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: docker.result("exec", "one", "true").returncode == 0)
    assert docker("exec", "one", "sh", "-c", script).split() == expected
    assert remapped.stop() == 0
    remapped.on = False
    remapped.start()
    try:
        assert docker("exec", "one", "sh", "-c", script).split() == expected
        docker("cp", "one:/before", "-")
        docker("restart", "-t0", "one")
        plain = docker("exec", "one", "sh", "-c", script).split()
        assert plain == ["0", "0", "4294967295", "0", "out"]
    finally:
        assert remapped.stop() == 0
        remapped.on = True
        remapped.start()
    docker("restart", "-t0", "one")
    assert docker("exec", "one", "sh", "-c", script).split() == expected


def test_whole_trees(tmp_path_factory: pytest.TempPathFactory, base_archive: Path, tmp_path: Path):
    for engine in made(tmp_path_factory, base_archive, "--storage-driver", "vfs"):
        cli = Cli("docker", engine.host, tmp_path)
        script = "stat -c '%u %g' /bin; touch /new; cat /proc/self/uid_map; sleep 100"
        cli("run", "-d", "--name", "one", "busybox", "sh", "-c", script)
        eventually(lambda cli=cli: cli("logs", "one").split() == ["0", "0", "0", str(FIRST), str(COUNT)])
        assert cli("run", "--rm", "--network", "container:one", "busybox", "stat", "-c", "%u", "/bin") == "0"
        assert cli("diff", "one") == "A /new"
        tree = engine.root / "data/vfs/containers" / cli("inspect", "-f", "{{.Id}}", "one") / "diff/new"
        assert tree.stat().st_uid == 0
        (tmp_path / "Dockerfile").write_text("FROM busybox AS a\nRUN touch /x\nFROM busybox\n"
                                             "RUN --mount=from=a,target=/a [ $(stat -c %u /a/x) = 0 ]\n")  # fmt: skip
        Cli("pydock", engine.host, tmp_path)("build", str(tmp_path))
