"""The base image busybox:latest from this machine's static busybox: `python -m pydock_daemon.images.base OUTPUT.tar`.

The archive is what `load` takes. It is deterministic: the same busybox program gives the same image id. Used by the
demo, the tests and the benchmarks, so that none of them needs a registry.
"""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

from pydock_shared import reference
from pydock_shared.errors import PydockError
from pydock_shared.times import rfc3339

from . import manifest, save
from .manifest import Descriptor
from .model import host_platform

BUSYBOX = Path("/bin/busybox")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDERS = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "lib": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "sbin": 0o755,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
    "var/spool": 0o755,
    "var/tmp": 0o1777,
    "var/www": 0o755,
}
USERS = (
    # name, uid, home, shell
    ("root", 0, "/root", "/bin/sh"),
    ("daemon", 1, "/usr/sbin", "/bin/false"),
    ("bin", 2, "/bin", "/bin/false"),
    ("sys", 3, "/dev", "/bin/false"),
    ("mail", 8, "/var/spool/mail", "/bin/false"),
    ("www-data", 33, "/var/www", "/bin/false"),
    ("nobody", 65534, "/home", "/bin/false"),
)
GROUPS = (("tty", 5), ("disk", 6), ("utmp", 43), ("staff", 50), ("users", 100))


def main() -> None:
    """Write the archive to the file named by the argument."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m pydock_daemon.images.base OUTPUT.tar")
    try:
        with open(sys.argv[1], "wb") as file:
            file.writelines(save.archive([build(BUSYBOX)]))
    except (PydockError, OSError) as error:
        sys.exit(f"busybox:latest cannot be made: {error}")


def build(program: Path) -> save.Saved:
    """Return the image of a static busybox."""
    if not program.exists():
        raise PydockError(f"{program} is not there (Debian package busybox-static)")
    done = subprocess.run([program, "--list"], capture_output=True, text=True, timeout=10, check=True)
    created = int(program.stat().st_mtime)
    layer = _layer(program, done.stdout.split(), created)
    platform, moment = host_platform(), rfc3339(created * 1_000_000_000)
    diff_id = manifest.digest_of(layer)
    config = manifest.encode(
        {
            "created": moment,
            "architecture": platform.architecture,
            **({"variant": platform.variant} if platform.variant else {}),
            "os": platform.os,
            "config": {"Env": [PATH], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [
                {"created": moment, "created_by": "busybox-static of this machine"},
                {"created": moment, "created_by": 'CMD ["sh"]', "empty_layer": True},
            ],
        }
    )
    id_ = manifest.digest_of(config)
    descriptor = Descriptor(id_, len(config), manifest.OCI_CONFIG)
    document = manifest.make_manifest(descriptor, [Descriptor(diff_id, len(layer), manifest.LAYER_KINDS["none"])])
    digest = manifest.digest_of(document)
    return save.Saved(
        id=id_,
        top=digest,
        media_type=manifest.OCI_MANIFEST,
        layers=[diff_id],
        names=[reference.parse("busybox:latest")],
        blobs={id_: config, diff_id: layer, digest: document},
        created=created * 1_000_000_000,
    )


def _layer(program: Path, applets: list[str], created: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, mode: int, kind: bytes, data: bytes = b"", link: str = "") -> None:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.type, entry.size, entry.mtime = mode, kind, len(data), created
            entry.linkname = link
            tar.addfile(entry, io.BytesIO(data))

        for folder, mode in FOLDERS.items():
            add(folder, mode, tarfile.DIRTYPE)
        add("bin/busybox", 0o755, tarfile.REGTYPE, program.read_bytes())
        for applet in sorted(set(applets) - {"busybox"}):
            add(f"bin/{applet}", 0o755, tarfile.LNKTYPE, link="bin/busybox")
        add("usr/bin/env", 0o777, tarfile.SYMTYPE, link="../../bin/env")
        for name, text in _files().items():
            add(name, 0o600 if name == "etc/shadow" else 0o644, tarfile.REGTYPE, text.encode())
    return buffer.getvalue()


def _files() -> dict[str, str]:
    groups = [*((name, number) for name, number, _, _ in USERS), *GROUPS]
    return {
        "etc/passwd": "".join(f"{name}:x:{uid}:{uid}:{name}:{home}:{shell}\n" for name, uid, home, shell in USERS),
        "etc/group": "".join(
            f"{name if number != 65534 else 'nogroup'}:x:{number}:\n"
            for name, number in sorted(groups, key=lambda group: group[1])
        ),
        "etc/shadow": "".join(f"{name}:*:19000:0:99999:7:::\n" for name, *_ in USERS),
        "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }


if __name__ == "__main__":
    main()
