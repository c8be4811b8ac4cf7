"""A root with plain ids on disk in a user namespace: layers and whole trees; and mounts of other processes."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.runtime import box

from pydock_runtime import usermaps
from pydock_runtime.errors import RuntimeFailure
from pydock_runtime.rootfs import mapped, sources

pytestmark = pytest.mark.root
HOST = 300000
ONE = [{"containerID": 0, "hostID": HOST, "size": 65536}]


def in_users(wanted: box.Spec) -> box.Spec:
    wanted["linux"] |= {"uidMappings": ONE, "gidMappings": ONE}
    wanted["linux"]["namespaces"].append({"type": "user"})
    return wanted


def test_layers_show_the_container_s_ids(root: Path, tmp_path: Path):
    own = {name: str(tmp_path / name) for name in ("upper", "work")}
    for folder in own.values():
        Path(folder).mkdir()
    layers = {"base": str(root.parent), "lower": [root.name], **own}
    script = "stat -c '%u %g' /bin; touch /new; rm /bin/plain; chown 5:6 /etc; cat /proc/self/uid_map"
    lines = box.run(in_users(box.spec(root=root, shell=script)), overlay=layers).lines
    assert (lines[0], lines[1].split()) == ("0 0", ["0", str(HOST), "65536"])
    upper = tmp_path / "upper"
    assert [(upper / name).lstat().st_uid for name in ("new", "bin/plain", "etc")] == [0, 0, 5]
    assert (upper / "bin/plain").is_char_device()


def test_a_folder_does_too_where_nobody_else_may_go(tmp_path: Path):
    above = tmp_path / "closed"
    above.mkdir(mode=0o700)
    tree = box.make_root(above / "tree")
    wanted = in_users(box.spec(root=tree, shell="stat -c %u /bin; touch /new; echo x >/dev/null && id -u"))
    # as init systems have their mounts: what the container mounts must not be seen in those
    subprocess.run(["mount", "--bind", "--make-shared", str(above), str(above)], check=True)
    try:
        result = box.run(wanted, overlay={"folder": str(tree)})
    finally:
        subprocess.run(["umount", str(above)], check=True)
    assert (result.error, result.lines) == (None, ["0", "0"])
    assert (tree / "new").stat().st_uid == 0


def test_what_cannot_be_mapped_is_said(tmp_path: Path):
    users = usermaps.namespace(ONE, ONE)
    try:
        for folder, words in (("/proc/fs", "its file system cannot be mapped"), (str(tmp_path / "no"), "no such file")):
            with pytest.raises(RuntimeFailure, match=words):
                mapped.open_root({"folder": folder}, users, (HOST, HOST))
        wrong = {"base": "/proc/fs", "lower": ["nfsd"], "upper": f"{tmp_path}/u", "work": f"{tmp_path}/w"}
        with pytest.raises(RuntimeFailure, match="/proc/fs: its file system cannot be mapped"):
            mapped.open_root(wrong, users, (HOST, HOST))
        wrong |= {"base": str(tmp_path)}
        with pytest.raises(RuntimeFailure, match=r"error mounting overlay: .* \(1 layers\)"):
            mapped.open_root(wrong, users, (HOST, HOST))
    finally:
        os.close(users)


def test_mounts_of_another_process():
    script = "mount -t tmpfs none /mnt && echo x >/mnt/file && echo ready && exec sleep 100"
    with subprocess.Popen(["unshare", "--mount", "sh", "-ec", script], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout
            assert other.stdout.readline() == "ready\n"
            entry = {"destination": "/in", "type": "bind", "options": ["bind"]}
            theirs = {**entry, "source": f"/proc/{other.pid}/root/mnt"}
            assert sources.needed([theirs], user=False)
            assert not sources.needed([{**entry, "source": "/mnt"}], user=False)
            opened = sources.open_all([theirs], None)
            assert os.listdir(f"/proc/self/fd/{opened[0]}") == ["file"]
            os.close(opened[0])
            with pytest.raises(RuntimeFailure, match=f"/no of process {other.pid}: .*no such file"):
                sources.open_all([{**theirs, "source": f"/proc/{other.pid}/root/no"}], None)
        finally:
            other.kill()
