"""Body of the volume endpoint. Used by the daemon."""

from . import Names, Table, Wire


class VolumeCreate(Wire):
    """The body of `POST /volumes/create`."""

    name: str | None = None
    driver: str | None = None
    driver_opts: Table | None = None
    labels: Table | None = None
    cluster_volume_spec: Names | None = None
