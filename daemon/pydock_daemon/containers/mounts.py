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
MODES = ({"ro", "rw"}, {"z", "Z"}, PROPAGATIONS, {"nocopy"}, {"consistent", "cached", "delegated", "default"})
"""What may stand behind the last colon, one word of a kind."""


def resolve(
    containers: Containers, config: ContainerConfig, host: HostConfig, image_volumes: Iterable[str]
) -> list[MountPoint]:
    """Return the mounts of a new container; volumes that are missing are made later, by `ensure`."""
    points: dict[str, MountPoint] = {}
    for spec in host.volumes_from or ():
        points |= {point.target: point for point in _from_container(containers, spec)}
    driver, root = host.volume_driver or "local", str(containers.config.data_root)
    asked = [_bind(spec, driver, root) for spec in host.binds or ()]
    asked += [_mount(mount.model_dump(by_alias=True, exclude_none=True), root) for mount in host.mounts or ()]
    asked += [_tmpfs(target, options) for target, options in (host.tmpfs or {}).items()]
    seen: set[str] = set()
    for point in asked:
        if point.target in seen:
            raise InvalidArgument(f"Duplicate mount point: {point.target}")
        seen.add(point.target)
        points[point.target] = point
    for target in (*(config.volumes or {}), *image_volumes):
        # As in Docker one that is not absolute begins at the root: `VOLUME data`.
        clean = _target(f"/{target}" if target else "")
        points.setdefault(clean, MountPoint("volume", clean, driver=driver, copy_up=True, anonymous=True))
    return list(points.values())


def _target(path: str) -> str:
    if not path.startswith("/"):
        raise InvalidArgument(f"invalid mount path: '{path}' mount path must be absolute")
    clean = "/" + os.path.normpath(path).lstrip("/")
    if clean == "/":
        raise InvalidArgument(f"invalid specification: destination can't be '{path}'")
    return clean


def _target_of(kind: str, path: str) -> str:
    try:
        return _target(path)
    except InvalidArgument as error:
        raise _refused(kind, error.message) from error


def _refused(kind: str, why: str) -> InvalidArgument:
    return InvalidArgument(f'invalid mount config for type "{kind}": {why}')


def _bind(spec: str, driver: str, root: str) -> MountPoint:
    """Read `[source:]target[:mode]`, where a source that is no path is the name of a volume (moby, `ParseMountRaw`)."""
    parts = spec.split(":")
    if len(parts) > 3 or not parts[0] or (len(parts) == 2 and _known_mode(parts[1])):
        raise InvalidArgument(f"invalid volume specification: '{spec}'")
    source, target, mode = ("", spec, "") if len(parts) == 1 else (*parts, "")[:3]
    if not _known_mode(mode):
        raise InvalidArgument(f"invalid mode: {mode}")
    try:
        return _bound(source, target, mode, driver, root)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid volume specification: '{spec}': {error.message}") from error


def _known_mode(mode: str) -> bool:
    words = mode.split(",") if mode else []
    return all(any(word in kind for kind in MODES) for word in words) and all(
        sum(word in kind for word in words) <= 1 for kind in MODES
    )


def _bound(source: str, target: str, mode: str, driver: str, root: str) -> MountPoint:
    words = mode.split(",") if mode else []
    if {"z", "Z"} & set(words) and os.path.exists("/sys/fs/selinux/enforce"):
        raise NotSupported("relabeling of bind mounts (z, Z) is not supported")
    propagation = next((word for word in words if word in PROPAGATIONS), "")
    read_only = "ro" in words
    if source.startswith("/"):
        if "nocopy" in words:
            raise _refused("bind", "field VolumeOptions must not be specified")
        # A missing source of this spelling is made as a directory, as Docker does.
        return MountPoint(
            "bind",
            _target_of("bind", target),
            source=os.path.normpath(source),
            read_only=read_only,
            propagation=propagation or _propagation(source, root),
            mode=mode,
            options=("create",),
        )
    if propagation:
        raise _refused("volume", "field BindOptions must not be specified")
    return MountPoint(
        "volume",
        _target_of("volume", target),
        name=source,
        driver=driver,
        read_only=read_only,
        mode=mode or "z",
        copy_up="nocopy" not in words,
        anonymous=not source,
    )


def _propagation(source: str, root: str) -> str:
    """Return how mounts spread to a bind mount that does not say: what shows our own data root sees them go.

    Otherwise a container would hold the mounts that others had when it started.
    """
    return "rslave" if shows(source, root) else "rprivate"


def shows(source: str, root: str) -> bool:
    """Say whether of two absolute paths one is below the other."""
    return os.path.commonpath((os.path.normpath(source), root)) in (os.path.normpath(source), root)


def _mount(mount: dict[str, Any], root: str) -> MountPoint:
    kind = mount.get("Type", "")
    readers = {"bind": _mount_bind, "volume": _mount_volume, "tmpfs": _mount_tmpfs}
    if kind not in readers:
        if kind in ("image", "cluster", "npipe"):
            raise NotSupported(f"mount type {kind} is not supported")
        raise _refused(kind, "mount type unknown")
    if not mount.get("Target"):
        raise _refused(kind, "field Target must not be empty")
    for option in ("BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions"):
        if option in mount and not option.lower().startswith(kind):
            raise InvalidArgument(f'{option} must not be specified on mount type "{kind}"')
    return readers[kind](mount, _target_of(kind, mount["Target"]), root)


def _mount_bind(mount: dict[str, Any], target: str, root: str) -> MountPoint:
    options = mount.get("BindOptions") or {}
    _check_read_only(options, read_only=bool(mount.get("ReadOnly")))
    source, propagation = mount.get("Source", ""), options.get("Propagation") or ""
    if not source:
        raise _refused("bind", "field Source must not be empty")
    if propagation and propagation not in PROPAGATIONS:
        raise _refused("bind", f"invalid propagation mode: {propagation}")
    if not source.startswith("/"):
        raise _refused("bind", f"invalid mount path: '{source}' mount path must be absolute")
    if not options.get("CreateMountpoint") and not os.path.lexists(source):
        raise _refused("bind", f"bind source path does not exist: {source}")
    return MountPoint(
        "bind",
        target,
        source=os.path.normpath(source),
        read_only=bool(mount.get("ReadOnly")),
        propagation=propagation or _propagation(source, root),
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


def _mount_volume(mount: dict[str, Any], target: str, root: str) -> MountPoint:
    options = mount.get("VolumeOptions") or {}
    driver = options.get("DriverConfig") or {}
    name, subpath = mount.get("Source", ""), options.get("Subpath") or ""
    if not name and (subpath or mount.get("ReadOnly")):
        what = "Subpath" if subpath else "ReadOnly mode"
        raise _refused("volume", f"must not set {what} when using anonymous volumes")
    if subpath and (subpath.startswith("/") or os.path.normpath(subpath).split("/")[0] == ".." or "\0" in subpath):
        raise _refused("volume", "subpath must be a relative path within the volume")
    return MountPoint(
        "volume",
        target,
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


def _mount_tmpfs(mount: dict[str, Any], target: str, root: str) -> MountPoint:
    options = mount.get("TmpfsOptions") or {}
    words = [":".join(pair) if len(pair) == 1 else "=".join(pair) for pair in options.get("Options") or ()]
    if options.get("SizeBytes"):
        words.append(f"size={options['SizeBytes']}")
    if options.get("Mode"):
        words.append(f"mode={options['Mode']:o}")
    if mount.get("ReadOnly"):
        words.append("ro")
    if mount.get("Source"):
        raise _refused("tmpfs", "field Source must not be specified")
    return MountPoint("tmpfs", target, read_only=bool(mount.get("ReadOnly")), options=tuple(words))


def _tmpfs(target: str, options: str) -> MountPoint:
    return MountPoint("tmpfs", _target(target), options=tuple(word for word in options.split(",") if word))


def _from_container(containers: Containers, spec: str) -> list[MountPoint]:
    name, _, mode = spec.partition(":")
    if not name:
        raise InvalidArgument("volumes-from specification cannot be an empty string")
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
