"""The cache of a build inside an image: which steps have made its layers. Used by `solve`.

A field of the image's configuration, `io.pydock.build.cache`, is a list of `[key, layers, text]`: the key of a step,
how many layers there are after it, and what the history says of it. `--cache-to` writes it, `--cache-from` reads it:
the steps are in the cache then as if they had been built here. What another engine's images have is not read.
"""

from typing import Any

from pydock_daemon.images.model import Image
from pydock_daemon.images.service import Adding, Images

from . import state
from .cache import Cache
from .state import State

FIELD = "io.pydock.build.cache"
MOST = 1000


def told(at: State) -> dict[str, Any]:
    """Return the field for an image of a state."""
    return {FIELD: [list(step) for step in at.trail]}


def take(images: Images, cache: Cache, adding: Adding, image: Image) -> int:
    """Take in the steps of an image; return how many it tells of."""
    whole = state.of_image(images, image, adding)
    steps = [step for step in _steps(image.config.get(FIELD)) if step[1] <= len(whole.diff_ids)]
    for key, count, text in steps:
        if cache.find(key) is None:
            part = whole.copy()
            part.layers, part.diff_ids, part.history = whole.layers[:count], whole.diff_ids[:count], []
            cache.keep(key, state.commit(images, part, [], moment=0), text)
    return len(steps)


def _steps(found: Any) -> list[tuple[str, int, str]]:
    """Return what a field says, nothing of what is malformed: it comes from anywhere."""
    steps = []
    for step in found[:MOST] if isinstance(found, list) else ():
        if isinstance(step, list) and len(step) == 3 and [type(part) for part in step] == [str, int, str]:
            key, count, text = step
            if len(key) == 64 and count >= 0:
                steps.append((key, count, text[:1000]))
    return steps
