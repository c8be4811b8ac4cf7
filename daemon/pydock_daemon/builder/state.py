"""What a stage has become so far: layers, settings, history; from an image and to one. Used by `steps` and `meta`."""

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydock_daemon.containers.commit import in_oci_words
from pydock_daemon.images import manifest
from pydock_daemon.images.manifest import Descriptor
from pydock_daemon.images.model import Image, Platform, host_platform
from pydock_daemon.images.service import Adding, Images
from pydock_daemon.snapshots import base
from pydock_shared.errors import NotFound
from pydock_shared.reference import Reference
from pydock_shared.times import rfc3339

from .cache import key

SHELL = ["/bin/sh", "-c"]
COMMENT = "buildkit.dockerfile.v0"
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PLATFORM = ("architecture", "os", "variant", "os.version", "os.features")


@dataclass
class State:
    """A stage between two instructions. `key` names the files it has."""

    key: str
    platform: dict[str, Any]
    layers: list[Descriptor] = field(default_factory=list)
    diff_ids: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    """The ARGs in scope."""
    declared: list[str] = field(default_factory=list)
    """The names of those that this stage has declared, with a value or without."""
    shell: list[str] = field(default_factory=lambda: list(SHELL))
    author: str = ""
    command_given: bool = False
    below: int = 0
    """How many of the layers are the base image's."""
    image: str = ""
    """The id of an image that is this very state, where one was made."""
    trail: list[tuple[str, int, str]] = field(default_factory=list)
    """The steps since the base image: key, layers after it, what the history says."""

    @property
    def files(self) -> str:
        """Return what names the files of the layers: the same for a stage and for an image with these layers."""
        return key("from", self.chain)

    @property
    def chain(self) -> list[str]:
        """Return the chain ids of the layers."""
        return base.chain_ids(self.diff_ids)

    def copy(self) -> "State":
        """Return a state that goes on by itself, for a stage on top of another."""
        return copy.deepcopy(self)

    def bare(self) -> "State":
        """Return the same without volumes: what a step writes below one belongs to the image."""
        return replace(self, settings={name: value for name, value in self.settings.items() if name != "Volumes"})

    def variables(self) -> dict[str, str]:
        """Return what `$name` means: the ARGs, and before them the ENVs."""
        return {**self.arguments, **dict(entry.partition("=")[::2] for entry in self.settings.get("Env") or ())}

    def note(self, text: str, *, moment: int, empty: bool) -> None:
        """Add an instruction to the history, in the words of BuildKit."""
        step: dict[str, Any] = {"created": rfc3339(moment), "created_by": text, "comment": COMMENT}
        self.history.append(
            step | ({"author": self.author} if self.author else {}) | ({"empty_layer": True} if empty else {})
        )

    def merged(self, text: str, *, moment: int) -> None:
        """Add to the history that layers have become one, in Docker's words."""
        self.history.append({"created": rfc3339(moment), "comment": text})

    def add_layer(self, layer: Descriptor, diff_id: str) -> None:
        """Put a layer on top."""
        self.layers.append(layer)
        self.diff_ids.append(diff_id)


def scratch(wanted: Platform | None = None) -> State:
    """Return the state of FROM scratch, for this host if no platform is wanted."""
    found = wanted or host_platform()
    platform = {"architecture": found.architecture, "os": found.os}
    platform |= {"variant": found.variant} if found.variant else {}
    return State(key("scratch"), platform, settings={"Env": [DEFAULT_PATH], "WorkingDir": "/"})


def of_image(images: Images, image: Image, adding: Adding) -> State:
    """Return the state of FROM an image, all of which `adding` holds; NotFound when it has just been removed."""
    if not images.is_whole(image):
        raise NotFound(f"No such image: {image.id}")
    adding.hold_image(image)
    parsed = manifest.parse_manifest(images.content.read(image.manifest), manifest.OCI_MANIFEST)
    settings = copy.deepcopy(image.config.get("config") or {})
    return State(
        key("from", image.chain),
        {name: image.config[name] for name in PLATFORM if name in image.config},
        [in_oci_words(layer) for layer in parsed.layers],
        list(image.diff_ids),
        settings,
        copy.deepcopy(image.config.get("history") or []),
        shell=list(settings.get("Shell") or SHELL),
        author=str(image.config.get("author") or ""),
        image=image.id,
    )


def commit(
    images: Images,
    state: State,
    names: list[Reference],
    *,
    moment: int | None = None,
    extra: dict[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Make an image of a state whose layers are all here; `moment` is when it was made, now when None.

    `extra` are further fields of its configuration, `annotations` those of its manifest.
    """
    with images.adding() as adding:
        adding.hold(*(layer.digest for layer in state.layers))
        adding.hold_layers(state.chain)
        config: dict[str, Any] = {
            **state.platform,
            "created": rfc3339(time.time_ns() if moment is None else moment),
            **({"author": state.author} if state.author else {}),
            "config": {name: value for name, value in state.settings.items() if value},
            "rootfs": {"type": "layers", "diff_ids": state.diff_ids},
            "history": state.history,
            **(extra or {}),
        }
        data = manifest.encode(config)
        adding.hold(manifest.digest_of(data))
        return named(images, images.content.add(data), state, names, annotations)


def named(
    images: Images, config: str, state: State, names: list[Reference], annotations: Mapping[str, str] | None
) -> Image:
    """Make an image of a configuration that is here, or give one that there is these names and annotations."""
    with images.adding() as adding:
        about = Descriptor(config, images.content.size(config), manifest.OCI_CONFIG)
        document, known = manifest.make_manifest(about, state.layers, annotations), images.get(config)
        if known and known.manifest == manifest.digest_of(document):
            return images.names.add(known, names)
        adding.hold(config, manifest.digest_of(document))
        return images.commit(images.content.add(document), names, made_here=True)
