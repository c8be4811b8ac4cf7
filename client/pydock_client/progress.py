"""The progress of pull, push, load and import: bars on a terminal, plain lines elsewhere, as docker does.

Used by transfer and archive commands. The stream is one JSON object a line: status, id, progress, or an error, which
ends it.
"""

from __future__ import annotations

import os

from pydock_shared import units
from pydock_shared.errors import PydockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO


def show(objects: Iterable[dict[str, Any]], out: TextIO, aux: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Show a stream to its end; PydockError when the stream reports one. `aux` gets the facts sent on the side."""
    terminal = out.isatty()
    lines: dict[str, int] = {}
    for entry in objects:
        if entry.get("aux") is not None:
            if aux is not None:
                aux(entry["aux"])
            continue
        failure = entry.get("errorDetail") or ({"message": entry["error"]} if entry.get("error") else None)
        if failure:
            out.flush()
            raise PydockError(str(failure.get("message", "")))
        if terminal:
            _on_terminal(entry, lines, out)
        else:
            _plain(entry, out)
    out.flush()


def quiet(objects: Iterable[dict[str, Any]], aux: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Read a stream to its end without a word; PydockError when it reports one. `aux` is as for `show`."""
    with open(os.devnull, "w") as nowhere:
        show(objects, nowhere, aux)


def _plain(entry: dict[str, Any], out: TextIO) -> None:
    """One line an event, without the moving ones."""
    if entry.get("stream"):
        out.write(entry["stream"])
        return
    if _bar(entry, 0):
        return
    out.write(f"{entry['id']}: " if entry.get("id") else "")
    out.write(f"{entry.get('status', '')}\n")


def _on_terminal(entry: dict[str, Any], lines: dict[str, int], out: TextIO) -> None:
    """Each id keeps its line, which is rewritten in place."""
    name = entry.get("id", "")
    if not name or entry.get("stream"):
        out.write(entry.get("stream") or f"{entry.get('status', '')}\n")
        lines.clear()  # what stands above has scrolled: later ids begin below
        return
    if name not in lines:
        lines[name] = len(lines)
        out.write("\n")
    up = len(lines) - lines[name]
    bar = _bar(entry, os.get_terminal_size(out.fileno()).columns)
    text = f"{name}: {entry.get('status', '')}" + (f" {bar}" if bar else "")
    out.write(f"\x1b[{up}A\x1b[2K\r{text}\r\x1b[{up}B")
    out.flush()


def _bar(entry: dict[str, Any], width: int) -> str:
    detail = entry.get("progressDetail") or {}
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if not current and not total:
        return ""
    done = units.format_size(current)
    if total <= 0:
        return f"{done:>8}"
    percent = min(100, int(current * 100 / total)) // 2
    box = f"[{'=' * percent}>{' ' * (50 - percent)}] " if width > 110 else ""
    return f"{box}{done:>8}/{units.format_size(total)}" if current <= total else f"{done:>8}"
