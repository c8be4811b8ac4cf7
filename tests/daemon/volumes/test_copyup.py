"""What an image has, copied into a new volume."""

import os
import stat

from pydock_daemon.volumes import copyup


def test_copy_keeps_what_a_file_has(tmp_path):
    root = tmp_path / "root"
    (root / "data" / "sub").mkdir(parents=True)
    file = root / "data" / "sub" / "file"
    file.write_text("content")
    os.chown(file, 12, 34)
    file.chmod(0o4750)
    os.utime(file, ns=(10**9, 123456789))
    os.setxattr(file, "user.key", b"value")
    (root / "data" / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "data" / "pipe")
    (root / "data").chmod(0o1777)
    place = tmp_path / "place"
    place.mkdir()
    assert copyup.needed(place)
    copyup.fill(place, root, "/data")
    info = (place / "sub" / "file").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns) == (0o4750, 12, 34, 123456789)
    assert os.getxattr(place / "sub" / "file", "user.key") == b"value"
    assert os.readlink(place / "link") == "/etc/passwd"
    assert (place / "pipe").is_fifo()
    assert stat.S_IMODE(place.stat().st_mode) == 0o1777
    assert not copyup.needed(place)
    assert not copyup.needed(place / "sub" / "file")


def test_copy_stays_inside_the_root(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("host")
    root = tmp_path / "root"
    root.mkdir()
    (root / "data").symlink_to(f"../{secret.name}")
    (root / "abs").symlink_to(str(secret))
    place = tmp_path / "place"
    place.mkdir()
    for target in ("/data", "/abs", "/../secret"):
        copyup.fill(place, root, target)
    assert list(place.iterdir()) == []
