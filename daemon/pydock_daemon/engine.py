"""The services of one daemon as one value: made by `app`, given to every handler."""

from dataclasses import dataclass

from pydock_daemon.builder.cache import Cache
from pydock_daemon.builder.contexts import Contexts
from pydock_daemon.buildkit.state import BuildKit
from pydock_daemon.config import Config
from pydock_daemon.containers.exec import Execs
from pydock_daemon.containers.service import Containers
from pydock_daemon.containers.supervisor import Supervisor
from pydock_daemon.events import Events
from pydock_daemon.images.service import Images
from pydock_daemon.networks.service import Networks
from pydock_daemon.snapshots.overlay import Snapshots
from pydock_daemon.store import Store
from pydock_daemon.volumes.service import Volumes


@dataclass(frozen=True)
class Engine:
    """What handlers work with; `id` names this daemon's data root for good."""

    id: str
    config: Config
    store: Store
    events: Events
    images: Images
    snapshots: Snapshots
    networks: Networks
    volumes: Volumes
    containers: Containers
    execs: Execs
    supervisor: Supervisor
    build_cache: Cache
    buildkit: BuildKit
    build_contexts: Contexts
