"""The images of a build's states: that of its result, and in the ways of the classic builder one after every step.

Used by `solve`.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydock_daemon.images.model import Image
from pydock_daemon.images.service import Adding, Images

from . import state
from .cache import Cache, key
from .options import Options
from .state import State


def wanted(at: State, options: Options) -> str:
    """Return the key of the image that a state becomes: the times of its history make no difference."""
    history = [{name: text for name, text in step.items() if name != "created"} for step in at.history]
    return key(
        "image", at.key, at.diff_ids, at.settings, history, at.platform, at.author, options.epoch, options.squash,
        options.rewrite, options.cache_inline, options.annotations,
    )  # fmt: skip


def find(cache: Cache, options: Options, step: str) -> Image | None:
    """Return what this build has made under a key, or an earlier one, where that may be taken."""
    return options.made.get(step) or (None if options.no_cache else cache.find(step))


def is_plain(options: Options) -> bool:
    """Say whether the result of a build is what its last step has made."""
    return not (options.squash or options.rewrite or options.cache_inline or options.annotations)


def between(images: Images, cache: Cache, adding: Adding, options: Options, at: State, text: str) -> bool:
    """Have an image of a state after a step, told by `at.image`; say whether an earlier build has made it.

    One that the step has made already is taken. `text` is how the step was written.
    """
    options = replace(options, squash=False, rewrite=False, cache_inline=False, annotations={})
    step = wanted(at, options)
    found = find(cache, options, step)
    made = found or images.get(at.image) or state.commit(images, at, [], moment=options.moment)
    adding.hold_image(made)
    options.made[step], at.image = made, made.id
    if not found:
        cache.keep(step, made, text)
    return found is not None and not options.no_cache


def leads_to(at: State, diff_ids: Sequence[str], image: Image, text: str | None = None) -> bool:
    """Say whether an image stands on a state of these layers, by the layers and by what its history says.

    `text` is what the history will say of the step that the state is about to make.
    """
    said = [step.get("created_by") for step in at.history] + ([] if text is None else [text])
    history = [step.get("created_by") for step in image.config.get("history") or []]
    return history[: len(said)] == said and list(image.diff_ids[: len(diff_ids)]) == list(diff_ids)
