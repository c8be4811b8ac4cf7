"""Which volumes, bind mounts and tmpfs a container gets: Binds, Mounts, Tmpfs, VolumesFrom and the image's VOLUMEs.

Used by `create`. Later sources win in Docker's order: volumes-from, then binds and mounts, then the image's volumes.
"""

import os
from collections.abc import Iterable
from typing import Any

from pydock_shared.errors import InvalidArgument, NotFound, NotSupported
from pydock_shared.wire.container import ContainerConfig, HostConfig

from .model import MountPoint
from .service import Containers

PROPAGATIONS = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}
MODES = {"ro", "rw", "z", "Z", "nocopy", "copy", "consistent", "cached", "delegated"} | PROPAGATIONS


def resolve(
    containers: Containers, config: ContainerConfig, host: HostConfig, image_volumes: Iterable[str]
) -> list[MountPoint]:
    """Return the mounts of a new container; volumes that are missing are made later, by `ensure`."""
    points: dict[str, MountPoint] = {}
    for spec in host.volumes_from or ():
        points |= {point.target: point for point in _from_container(containers, spec)}
    driver = host.volume_driver or "local"
    asked = [_bind(spec, driver) for spec in host.binds or ()]
    asked += [_mount(mount.model_dump(by_alias=True, exclude_none=True)) for mount in host.mounts or ()]
    asked += [_tmpfs(target, options) for target, options in (host.tmpfs or {}).items()]
    seen: set[str] = set()
    for point in asked:
        if point.target in seen:
            raise InvalidArgument(f"Duplicate mount point: {point.target}")
        seen.add(point.target)
        points[point.target] = point
    for target in (*(config.volumes or {}), *image_volumes):
        clean = _target(target)
        points.setdefault(clean, MountPoint("volume", clean, driver=driver, copy_up=True, anonymous=True))
    return list(points.values())


def _target(path: str) -> str:
    if not path.startswith("/"):
        raise InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")
    clean = os.path.normpath(path)
    if clean in ("/", "//"):
        raise InvalidArgument(f"invalid specification: destination can't be '{path}'")
    return clean


def _bind(spec: str, driver: str) -> MountPoint:
    """Read `source:target[:options]`, where a source that is no path is the name of a volume."""
    source, _, rest = spec.partition(":")
    if not rest:
        raise InvalidArgument(f"invalid volume specification: '{spec}'")
    target, _, mode = rest.partition(":")
    words = [word for word in mode.split(",") if word]
    unknown = [word for word in words if word not in MODES]
    if unknown or ":" in mode or not source:
        raise InvalidArgument(f"invalid volume specification: '{spec}': invalid mode: {mode}")
    if {"z", "Z"} & set(words) and os.path.exists("/sys/fs/selinux/enforce"):
        raise NotSupported("relabeling of bind mounts (z, Z) is not supported")
    propagation = next((word for word in words if word in PROPAGATIONS), "")
    read_only = "ro" in words
    if source.startswith("/"):
        # A missing source of this spelling is made as a directory, as Docker does.
        return MountPoint(
            "bind",
            _target(target),
            source=os.path.normpath(source),
            read_only=read_only,
            propagation=propagation or "rprivate",
            mode=mode,
            options=("create",),
        )
    return MountPoint(
        "volume",
        _target(target),
        name=source,
        driver=driver,
        read_only=read_only,
        mode=mode or "z",
        copy_up="nocopy" not in words,
    )


def _mount(mount: dict[str, Any]) -> MountPoint:
    kind = mount.get("Type", "")
    readers = {"bind": _mount_bind, "volume": _mount_volume, "tmpfs": _mount_tmpfs}
    if kind not in readers:
        if kind in ("image", "cluster", "npipe"):
            raise NotSupported(f"mount type {kind} is not supported")
        raise InvalidArgument(f'invalid mount config for type "{kind}": mount type unknown')
    if not mount.get("Target"):
        raise InvalidArgument(f'invalid mount config for type "{kind}": field Target must not be empty')
    for option in ("BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions"):
        if mount.get(option) and not option.lower().startswith(kind):
            raise InvalidArgument(f'invalid mount config for type "{kind}": field {option} must not be specified')
    return readers[kind](mount)


def _mount_bind(mount: dict[str, Any]) -> MountPoint:
    options = mount.get("BindOptions") or {}
    _check_read_only(options, read_only=bool(mount.get("ReadOnly")))
    source = mount.get("Source", "")
    if not source.startswith("/"):
        raise InvalidArgument(
            f"invalid mount config for type \"bind\": invalid mount path: '{source}' mount path must be absolute"
        )
    if not options.get("CreateMountpoint") and not os.path.lexists(source):
        raise InvalidArgument(f'invalid mount config for type "bind": bind source path does not exist: {source}')
    return MountPoint(
        "bind",
        _target(mount["Target"]),
        source=os.path.normpath(source),
        read_only=bool(mount.get("ReadOnly")),
        propagation=options.get("Propagation") or "rprivate",
        recursive=not options.get("NonRecursive"),
        read_only_below=not options.get("ReadOnlyNonRecursive"),
        options=("create",) if options.get("CreateMountpoint") else (),
    )


def _check_read_only(options: dict[str, Any], *, read_only: bool) -> None:
    """Refuse what contradicts itself; "ForceRecursive" is what our kernels do anyway."""
    asked = [name for name in ("ReadOnlyNonRecursive", "ReadOnlyForceRecursive") if options.get(name)]
    if asked and not read_only:
        raise InvalidArgument(f"mount options conflict: !ReadOnly && BindOptions.{asked[0]}")
    if len(asked) > 1:
        raise InvalidArgument("mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive")


def _mount_volume(mount: dict[str, Any]) -> MountPoint:
    options = mount.get("VolumeOptions") or {}
    driver = options.get("DriverConfig") or {}
    name, subpath = mount.get("Source", ""), options.get("Subpath") or ""
    if subpath and (subpath.startswith("/") or os.path.normpath(subpath).split("/")[0] == ".." or "\0" in subpath):
        raise InvalidArgument(
            'invalid mount config for type "volume": subpath must be a relative path within the volume'
        )
    return MountPoint(
        "volume",
        _target(mount["Target"]),
        name=name,
        driver=driver.get("Name") or "local",
        read_only=bool(mount.get("ReadOnly")),
        labels=tuple((options.get("Labels") or {}).items()),
        driver_options=tuple((driver.get("Options") or {}).items()),
        subpath=subpath,
        mode="z",
        copy_up=not options.get("NoCopy"),
        anonymous=not name,
    )


def _mount_tmpfs(mount: dict[str, Any]) -> MountPoint:
    options = mount.get("TmpfsOptions") or {}
    words = [":".join(pair) if len(pair) == 1 else "=".join(pair) for pair in options.get("Options") or ()]
    if options.get("SizeBytes"):
        words.append(f"size={options['SizeBytes']}")
    if options.get("Mode"):
        words.append(f"mode={options['Mode']:o}")
    if mount.get("ReadOnly"):
        words.append("ro")
    if mount.get("Source"):
        raise InvalidArgument('invalid mount config for type "tmpfs": field Source must not be specified')
    return MountPoint("tmpfs", _target(mount["Target"]), options=tuple(words))


def _tmpfs(target: str, options: str) -> MountPoint:
    return MountPoint("tmpfs", _target(target), options=tuple(word for word in options.split(",") if word))


def _from_container(containers: Containers, spec: str) -> list[MountPoint]:
    name, _, mode = spec.partition(":")
    if mode not in ("", "rw", "ro", "z", "Z"):
        raise InvalidArgument(f"invalid mode: {mode}")
    try:
        points = [point for point in containers.get(name).mounts if point.type != "tmpfs"]
    except NotFound as error:
        # The request is at fault, not its path: Docker answers 400 as well.
        raise InvalidArgument(error.message) from error
    if mode == "ro":
        points = [MountPoint(**{**vars(point), "read_only": True}) for point in points]
    return points
