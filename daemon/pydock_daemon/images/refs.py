"""Which images there are and by what names: the table behind `Images`, kept in memory and in the database alike.

A name is a canonical reference with either a tag or a digest: `docker.io/library/busybox:latest`,
`docker.io/library/busybox@sha256:...`. The first kind is the user's, the second says from where an image was pulled.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace

from pydock_daemon.store import Store
from pydock_shared import reference
from pydock_shared.errors import InvalidArgument, NotFound
from pydock_shared.reference import Reference

from .manifest import is_digest
from .model import Image

SCHEMA = """
create table if not exists images (
    id text primary key,
    manifest text not null,
    created integer not null,
    size integer not null,
    chain text not null,
    blobs text not null,
    config text not null
);
create table if not exists image_names (
    name text primary key,
    image text not null references images (id) on delete cascade,
    tagged integer not null
);
"""
_HEX = set("0123456789abcdef")


class Names:
    """The images and names of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._images: dict[str, Image] = {}
        self._names: dict[str, str] = {}
        self._tagged: dict[str, int] = {}
        for row in store.all("select * from images"):
            self._images[row["id"]] = Image(
                row["id"],
                json.loads(row["config"]),
                json.loads(row["chain"]),
                row["manifest"],
                json.loads(row["blobs"]),
                row["size"],
                row["created"],
            )
        for row in store.all("select * from image_names"):
            self._names[row["name"]] = row["image"]
            self._tagged[row["name"]] = row["tagged"]
        for id_ in self._images:
            self._refresh(id_)

    def __iter__(self) -> Iterator[Image]:
        """Yield every image, the youngest first."""
        return iter(sorted(self._images.values(), key=lambda image: (image.created, image.id), reverse=True))

    def __len__(self) -> int:
        return len(self._images)

    def get(self, id_: str) -> Image | None:
        """Return an image by its whole id."""
        return self._images.get(id_)

    def find(self, text: str) -> tuple[Image, Reference | None]:
        """Return the image that a name, an id or the beginning of an id stands for, and the reference if it was one.

        A name wins over the beginning of an id, as with Docker. NotFound and InvalidArgument have Docker's words.
        """
        whole = text if is_digest(text) else f"sha256:{text}"
        if image := self._images.get(whole):
            return image, None
        if is_digest(text):
            raise NotFound(f"No such image: {text}")
        if len(text) == 64 and set(text) <= _HEX:
            raise NotFound(f"No such image: {text}")
        digits = text.removeprefix("sha256:")
        ref = None if text.startswith("sha256:") and set(digits) <= _HEX else reference.parse(text)
        named = self._names.get(key_of(ref)) if ref else None
        if named:
            return self._images[named], ref
        matches = [id_ for id_ in self._images if id_.startswith(f"sha256:{digits}")] if set(digits) <= _HEX else []
        if len(matches) == 1 and digits:
            return self._images[matches[0]], None
        if len(matches) > 1 and digits:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {text}")
        raise NotFound(f"No such image: {ref.familiar() if ref else text}")

    def holder(self, ref: Reference) -> Image | None:
        """Return the image that has a name."""
        id_ = self._names.get(key_of(ref))
        return self._images[id_] if id_ else None

    def names_of(self, id_: str) -> list[Reference]:
        """Return the names of an image, sorted."""
        return [reference.parse(name) for name in sorted(self._names) if self._names[name] == id_]

    def tags_in(self, repository: str) -> list[tuple[Reference, Image]]:
        """Return the tags of a repository (its whole name) with their images."""
        found = [
            (reference.parse(name), id_) for name, id_ in sorted(self._names.items()) if name.startswith(repository)
        ]
        return [(ref, self._images[id_]) for ref, id_ in found if ref.name == repository and ref.tag]

    def repositories_with(self, blob: str, domain: str) -> list[str]:
        """Return the paths of the repositories of a registry in which a blob has been seen, by pull or push."""
        images = {image.id for image in self._images.values() if blob in image.blobs}
        refs = [reference.parse(name) for name, id_ in self._names.items() if id_ in images]
        return sorted({ref.path for ref in refs if ref.digest and ref.domain == domain})

    def add(self, image: Image, refs: list[Reference], *, locally: bool = True) -> Image:
        """Make an image visible together with its names, in one transaction.

        One that is there already keeps its other names and takes the manifest and blobs that came now. `locally` says
        whether the names are given here, which is when `tagged` is set.
        """
        with self._store.transaction() as db:
            values = (image.id, image.manifest, image.created, image.size)
            texts = (json.dumps(image.chain), json.dumps(image.blobs), json.dumps(image.config))
            db.execute(
                "insert into images (id, manifest, created, size, chain, blobs, config) values (?, ?, ?, ?, ?, ?, ?) "
                "on conflict (id) do update set manifest = excluded.manifest, blobs = excluded.blobs",
                values + texts,
            )
            now = time.time_ns() if locally else 0
            for ref in refs:
                db.execute(
                    "insert into image_names (name, image, tagged) values (?, ?, ?) "
                    "on conflict (name) do update set image = excluded.image, tagged = excluded.tagged",
                    (key_of(ref), image.id, now),
                )
        self._images[image.id] = image
        for ref in refs:
            before = self._names.get(key_of(ref))
            self._names[key_of(ref)], self._tagged[key_of(ref)] = image.id, now
            if before and before != image.id:
                self._refresh(before)
        return self._refresh(image.id)

    def untag(self, ref: Reference) -> None:
        """Take a name away; NotFound when there is none."""
        key = key_of(ref)
        if key not in self._names:
            raise NotFound(f"No such image: {ref.familiar()}")
        with self._store.transaction() as db:
            db.execute("delete from image_names where name = ?", (key,))
        id_ = self._names.pop(key)
        del self._tagged[key]
        self._refresh(id_)

    def remove(self, id_: str) -> None:
        """Forget an image and its names."""
        with self._store.transaction() as db:
            db.execute("delete from images where id = ?", (id_,))
        for name in [name for name, image in self._names.items() if image == id_]:
            del self._names[name], self._tagged[name]
        del self._images[id_]

    def _refresh(self, id_: str) -> Image:
        names = [(name, reference.parse(name)) for name in sorted(self._names) if self._names[name] == id_]
        tags = [(name, ref) for name, ref in names if ref.tag]
        self._images[id_] = image = replace(
            self._images[id_],
            repo_tags=[ref.familiar() for _, ref in tags],
            repo_digests=[ref.familiar() for _, ref in names if not ref.tag],
            tagged=max((self._tagged[name] for name, _ in tags), default=0),
        )
        return image


def key_of(ref: Reference) -> str:
    """Return the form in which a name is kept: with its digest if it has one, else with its tag."""
    return Reference(ref.domain, ref.path, None if ref.digest else ref.tag or "latest", ref.digest).canonical()
