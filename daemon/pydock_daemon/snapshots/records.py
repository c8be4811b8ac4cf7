"""The records of layers. Used by `overlay`, which owns the folders that they are about."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydock_daemon.store import Store

SCHEMA = """
create table if not exists layers (
    chain text primary key,
    parent text,
    diff_id text not null,
    short text not null unique,
    size integer not null
);
create table if not exists layer_bases (
    chain text primary key references layers (chain) on delete cascade,
    base text not null,
    own integer not null
);
"""


@dataclass(frozen=True)
class Layer:
    """An unpacked layer; `size` is the sum of its files' bytes.

    One with a `base`, the chain id of another layer on the same parent, has in its own folder only what is different
    there, `own` bytes; the two folders together are the layer.
    """

    chain: str
    parent: str | None
    diff_id: str
    short: str
    size: int
    base: str | None = None
    own: int = 0

    @property
    def used(self) -> int:
        """Return the bytes of the files in its own folder."""
        return self.own if self.base else self.size


def read(store: Store) -> dict[str, Layer]:
    """Return all layers by their chain ids."""
    rows = store.all("select layers.*, base, own from layers left join layer_bases using (chain)")
    return {row["chain"]: Layer(*row) for row in rows}


def add(store: Store, layer: Layer) -> None:
    """Write down a layer."""
    with store.transaction() as db:
        values = (layer.chain, layer.parent, layer.diff_id, layer.short, layer.size)
        db.execute("insert into layers (chain, parent, diff_id, short, size) values (?, ?, ?, ?, ?)", values)
        if layer.base:
            over = (layer.chain, layer.base, layer.own)
            db.execute("insert into layer_bases (chain, base, own) values (?, ?, ?)", over)


def remove(store: Store, layers: Iterable[Layer]) -> None:
    """Forget layers."""
    with store.transaction() as db:
        for table in ("layer_bases", "layers"):
            db.executemany(f"delete from {table} where chain = ?", [(layer.chain,) for layer in layers])
