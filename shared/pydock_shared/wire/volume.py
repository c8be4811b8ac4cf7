"""Body of the volume endpoint. Used by the daemon."""

from typing import Any

from . import Wire


class VolumeCreate(Wire):
    """The body of `POST /volumes/create`."""

    name: str | None = None
    driver: str | None = None
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, Any] | None = None
