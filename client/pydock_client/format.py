"""Lists of objects as tables, JSON or by a template of the person's own (`--format`). Used by every `ls` and its like.

A Listing names the fields of an object, each with its heading and how its text is made; the tables have docker's
columns and widths: a column is its longest cell plus three spaces, ten at least.
"""

from __future__ import annotations

import sys
import time

from pydock_shared import times, units
from pydock_shared.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    Make = Callable[["Item"], Any]

MIN_WIDTH, GAP = 10, 3
_ESCAPES = {"\\t": "\t", "\\n": "\n"}


class Item:
    """An object of a list and how it is to be shown."""

    __slots__ = ("data", "truncate")

    def __init__(self, data: dict[str, Any], *, truncate: bool) -> None:
        self.data = data
        self.truncate = truncate


class Listing:
    """How a kind of object is listed: `fields` maps a name to its heading and the function that makes its text."""

    __slots__ = ("_default", "_fields", "_kind")

    def __init__(self, kind: str, default: Sequence[str], fields: dict[str, tuple[str, Make]]) -> None:
        self._kind = kind
        self._default = default
        self._fields = fields

    def show(
        self,
        objects: Iterable[dict[str, Any]],
        form: str = "",
        *,
        truncate: bool = True,
        columns: Sequence[str] = (),
    ) -> None:
        """Print the objects: as a table of the default or the given columns, or as `form` wants it."""
        items = [Item(data, truncate=truncate) for data in objects]
        if form in ("", "table"):
            sys.stdout.write(self._table(items, columns or self._default))
        elif form == "json":
            self._template(items, "{{json .}}")
        else:
            self._template(items, unescape(form))

    def plain(self, item: Item) -> dict[str, Any]:
        """Return all fields of an object, in the order of their names."""
        made = {name: make(item) for name, (_, make) in sorted(self._fields.items())}
        return {name: value for name, value in made.items() if value is None or isinstance(value, str | bool)}

    def lookup(self, item: Item, name: str) -> Any:
        """Return one field of an object; UnknownField when there is none such."""
        if name not in self._fields:
            from pydock_shared.template import UnknownField

            raise UnknownField(f"*formatter.{self._kind}")
        return self._fields[name][1](item)

    def _table(self, items: list[Item], columns: Sequence[str]) -> str:
        rows = [[self._fields[name][0] for name in columns]]
        rows += [[str(self._fields[name][1](item)) for name in columns] for item in items]
        return align(rows)

    def _template(self, items: list[Item], form: str) -> None:
        """Each object by the template; behind `table` the headings come first, and tabs divide columns."""
        from pydock_shared.template import Template, TemplateError

        table = form.startswith("table")
        try:
            template = Template(form.removeprefix("table").lstrip() if table else form)
        except TemplateError as error:
            raise InvalidArgument(f"failed to parse template: {error}") from error
        try:
            texts = [template.render(_Row(self, item)) for item in items]
        except TemplateError as error:
            raise InvalidArgument(f"failed to execute template: {error}") from error
        if not table:
            sys.stdout.write("".join(f"{text}\n" for text in texts))
            return
        texts.insert(0, template.render(_Headings(self._fields)))
        sys.stdout.write(align([text.split("\t") for text in texts]))


class _Row:
    """What a template sees of an object."""

    def __init__(self, listing: Listing, item: Item) -> None:
        self._listing = listing
        self._item = item

    def lookup(self, name: str) -> Any:
        return self._listing.lookup(self._item, name)

    def plain(self) -> dict[str, Any]:
        return self._listing.plain(self._item)


class _Headings:
    """What a table's template sees in the first line."""

    def __init__(self, fields: dict[str, tuple[str, Make]]) -> None:
        self._fields = fields

    def lookup(self, name: str) -> Any:
        if name == "Label":
            from pydock_shared.template.functions import Callable_

            return Callable_(_label_heading)
        return self._fields[name][0] if name in self._fields else "<no value>"

    def plain(self) -> dict[str, Any]:
        return {name: heading for name, (heading, _) in sorted(self._fields.items())}


def _label_heading(name: str) -> str:
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def align(rows: list[list[str]], *, minimum: int = MIN_WIDTH) -> str:
    """Return rows as lines with their columns one below the other; the last cell of a line is left as it is."""
    widths: list[int] = []
    for row in rows:
        for at, cell in enumerate(row[:-1]):
            width = max(minimum, len(cell) + GAP)
            if at < len(widths):
                widths[at] = max(widths[at], width)
            else:
                widths.append(width)
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[at]) for at, cell in enumerate(row[:-1])]
        lines.append("".join([*cells, row[-1]]) + "\n")
    return "".join(lines)


def unescape(form: str) -> str:
    """Return a format with `\\t` and `\\n` as what they stand for."""
    for escape, mark in _ESCAPES.items():
        form = form.replace(escape, mark)
    return form


def short(identity: str, *, truncate: bool) -> str:
    """Return an id as lists show it: twelve digits without the algorithm."""
    return identity.removeprefix("sha256:")[:12] if truncate else identity


def ellipsis(text: str, length: int) -> str:
    """Return a text cut to a length, its end shown by an ellipsis."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def ago(seconds: float) -> str:
    """Return how long a moment of the past (seconds since the epoch) is away: `2 minutes ago`."""
    return f"{units.format_ago(time.time() - seconds)} ago"


def ago_text(text: str) -> str:
    """Return how long an RFC 3339 moment is away."""
    return ago(times.parse_rfc3339(text) / times.SECOND)


def local(seconds: float) -> str:
    """Return a moment as docker shows it: `2006-01-02 15:04:05 -0700 MST`."""
    moment = time.localtime(seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S %z ", moment) + (moment.tm_zone or "UTC")


def labels(item: Item) -> str:
    """Return the labels of an object on one line."""
    return ",".join(f"{name}={value}" for name, value in sorted((item.data.get("Labels") or {}).items()))


def label(item: Item) -> Any:
    """Return the function behind `{{.Label "name"}}`."""
    from pydock_shared.template.functions import Callable_

    values: dict[str, str] = item.data.get("Labels") or {}
    return Callable_(lambda name: values.get(name, ""))


def quoted(text: str) -> str:
    """Return a text in double quotes, as Go quotes it."""
    import json

    return json.dumps(text, ensure_ascii=False)
