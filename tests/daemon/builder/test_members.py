"""Members of archives, byte for byte those of tarfile."""

import itertools
import tarfile

from pydock_daemon.builder import members


def test_they_are_those_of_tarfile() -> None:
    names = ["a/b", ".", "x" * 100, "y" * 99, "y" * 101, "ä"]
    times: list[float] = [0, 5, 7.0, 1.5, 2.5, 1_700_000_000.123456, -1, 8**11 - 1, 8**11 - 0.2]
    kinds = [(tarfile.REGTYPE, 5), (tarfile.REGTYPE, 8**11), (tarfile.DIRTYPE, 0), (tarfile.SYMTYPE, 0)]
    for name, time, (kind, size), link in itertools.product(names, times, kinds, ["", "z", "q" * 101, "ö"]):
        info = tarfile.TarInfo(name)
        info.mtime, info.type, info.size, info.linkname = time, kind, size, link
        info.uid, info.mode = size % (8**7 + 2), 0o107777
        assert members.head(info) == info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def test_attributes() -> None:
    info = tarfile.TarInfo("a")
    info.pax_headers = {"SCHILY.xattr.user.a": "b"}
    assert b"SCHILY.xattr.user.a=b\n" in members.head(info)
