"""Pulling an image with the person's credentials. Used by `pull`, and by `run` and `create` for a missing image."""

from __future__ import annotations

from pydock_shared import reference

from . import auth, progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from .command import Call


def pull(call: Call, image: str, *, platform: str = "", all_tags: bool = False, out: TextIO | None = None) -> None:
    """Pull an image, showing progress on `out`, or nothing; errors are the daemon's."""
    wanted = reference.parse(image, default_tag=not all_tags)
    query = {"fromImage": wanted.name, "tag": wanted.digest or wanted.tag, "platform": platform}
    headers = {"X_Registry_Auth": auth.header(call.settings, wanted.domain)}
    response = call.daemon.request("POST", "/images/create", query, **headers)
    if out is None:
        progress.quiet(response.objects())
    else:
        progress.show(response.objects(), out)
