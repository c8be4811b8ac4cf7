"""`images --tree`: each image with its platforms, and what of them is here."""

from __future__ import annotations

from pydock_client.format import short
from pydock_shared import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEADINGS = ("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA")
_RIGHT = (2, 3)
_IN_USE = "U"


def show(images: list[dict[str, Any]]) -> str:
    """Return the table: an image with its names, below it a row for each platform, an empty row after those."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for image in images:
        platforms = [one for one in image.get("Manifests") or () if one["Kind"] == "image"]
        used = any(one["ImageData"]["Containers"] for one in platforms)
        content = sum(one["Size"]["Content"] for one in platforms)
        *names, last = image.get("RepoTags") or ["<untagged>"]
        rows += [(name, "", "", "", "") for name in names]
        rows.append((last, *_facts(image["Id"], image["Size"], content, used=used)))
        if _several(image):
            rows += [_platform(one, last=one is platforms[-1]) for one in platforms]
            rows.append(("", "", "", "", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "   ".join(
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines).rstrip() + "\n"


def _several(image: dict[str, Any]) -> bool:
    """Say whether an image stands for an index, be it one of a single platform."""
    kind = str((image.get("Descriptor") or {}).get("mediaType", ""))
    return "index" in kind or "list" in kind


def _platform(one: dict[str, Any], *, last: bool) -> tuple[str, ...]:
    about = one["ImageData"]
    platform = "/".join(
        about["Platform"][key] for key in ("os", "architecture", "variant") if about["Platform"].get(key)
    )
    size = one["Size"]
    facts = _facts(one["ID"], size["Total"], size["Content"], used=bool(about["Containers"]))
    return (f"{'└─' if last else '├─'} {platform}", *facts)


def _facts(identity: str, usage: int, content: int, *, used: bool) -> tuple[str, ...]:
    return (
        short(identity, truncate=True),
        units.format_size(usage),
        units.format_size(content),
        _IN_USE if used else "",
    )
