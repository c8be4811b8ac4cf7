"""Which images there are and by what names: the table behind `Images`, kept in memory and in the database alike.

A name is a canonical reference with either a tag or a digest: `docker.io/library/busybox:latest`,
`docker.io/library/busybox@sha256:...`. The first kind is the user's, the second says from where an image was pulled.

A name has a target, the digest of a manifest or of an index. An index has members, the images of it that are here; of
those one leads, which is what the name means when no platform is asked for.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

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
create table if not exists image_targets (
    name text primary key references image_names (name) on delete cascade,
    target text not null
);
create table if not exists image_members (
    target text not null,
    image text not null references images (id) on delete cascade,
    primary key (target, image)
);
"""
_HEX = set("0123456789abcdef")


class _View(NamedTuple):
    """The names as they are asked for: those that an image leads, those of a target, and the indexes of an image."""

    led: dict[str, list[str]]
    named: dict[str, list[str]]
    indexes: dict[str, list[str]]


class Names:
    """The images and names of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._images: dict[str, Image] = {}
        self._names: dict[str, str] = {}
        self._tagged: dict[str, int] = {}
        self._targets: dict[str, str] = {}
        self._members: dict[str, list[str]] = {}
        self._view: _View | None = None
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
            # Names of a time before there were targets lead to the manifest of their image.
            self._targets[row["name"]] = self._images[row["image"]].manifest
        for row in store.all("select * from image_targets"):
            self._targets[row["name"]] = row["target"]
        for row in store.all("select * from image_members order by rowid"):
            self._members.setdefault(row["target"], []).append(row["image"])
        for id_ in self._images:
            self._refresh(id_)

    def __iter__(self) -> Iterator[Image]:
        """Yield every image, the youngest first."""
        return iter(sorted(self._images.values(), key=lambda image: (image.created, image.id), reverse=True))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, id_: str) -> Image:
        return self._images[id_]

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

    def named(self, text: str) -> Image | None:
        """Return the image that a reference names."""
        id_ = self._names.get(key_of(reference.parse(text)))
        return self._images[id_] if id_ else None

    def holder(self, ref: Reference) -> Image | None:
        """Return the image that has a name."""
        id_ = self._names.get(key_of(ref))
        return self._images[id_] if id_ else None

    def names_of(self, id_: str) -> list[Reference]:
        """Return the names that an image leads, sorted."""
        return [reference.parse(name) for name in self._seen().led.get(id_, ())]

    def target(self, ref: Reference) -> str:
        """Return the digest of the document that a name stands for; NotFound when there is no such name."""
        if key_of(ref) not in self._targets:
            raise NotFound(f"No such image: {ref.familiar()}")
        return self._targets[key_of(ref)]

    def targets(self, id_: str | None = None) -> list[str]:
        """Return what names stand for, each document once: those that an image leads, or all."""
        if id_ is None:
            return list(self._seen().named)
        return list(dict.fromkeys(self._targets[name] for name in self._seen().led.get(id_, ())))

    def members(self, target: str) -> list[str]:
        """Return the ids of the images of an index that are here."""
        return self._members.get(target, [])

    def follows(self, id_: str) -> bool:
        """Say whether an image is here only as a further platform of what another one leads."""
        return id_ not in self._seen().led and id_ in self._seen().indexes

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

    def add(self, image: Image, refs: list[Reference], target: str = "", *, locally: bool = True) -> Image:
        """Make an image visible together with its names, in one transaction.

        One that is there already keeps its other names and takes the manifest and blobs that came now. `target` is what
        the names stand for, the image's manifest unless an index is given. `locally` says whether the names are given
        here, which is when `tagged` is set.
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
                db.execute(
                    "insert or replace into image_targets (name, target) values (?, ?)",
                    (key_of(ref), target or image.manifest),
                )
        self._images[image.id] = image
        changed = {image.id}
        for ref in refs:
            key = key_of(ref)
            if key in self._names:
                changed |= {self._names[key], *self.members(self._targets[key])}
            self._names[key], self._tagged[key] = image.id, now
            self._targets[key] = target or image.manifest
        self._settle(changed)
        return self._images[image.id]

    def join(self, target: str, ids: list[str], lead: str) -> Image:
        """Add images to those of an index, and let one of them lead all of its names."""
        known = self._members.setdefault(target, [])
        names = [name for name in self._names if self._targets[name] == target]
        with self._store.transaction() as db:
            for id_ in ids:
                db.execute("insert or ignore into image_members (target, image) values (?, ?)", (target, id_))
            for name in names:
                db.execute("update image_names set image = ? where name = ?", (lead, name))
        known += [id_ for id_ in dict.fromkeys(ids) if id_ not in known]
        for name in names:
            self._names[name] = lead
        self._settle(set(known))
        return self._images[lead]

    def untag(self, ref: Reference) -> None:
        """Take a name away; NotFound when there is none."""
        key = key_of(ref)
        if key not in self._names:
            raise NotFound(f"No such image: {ref.familiar()}")
        with self._store.transaction() as db:
            db.execute("delete from image_names where name = ?", (key,))
        id_ = self._names.pop(key)
        del self._tagged[key]
        self._settle({id_, *self.members(self._targets.pop(key))})

    def remove(self, id_: str) -> None:
        """Forget an image and the names that it leads; if others of an index are here, one of those leads then."""
        for target in self.targets(id_):
            if heirs := [other for other in self.members(target) if other != id_]:
                self.join(target, [], heirs[0])
        with self._store.transaction() as db:
            db.execute("delete from images where id = ?", (id_,))
        for name in [name for name, image in self._names.items() if image == id_]:
            del self._names[name], self._tagged[name], self._targets[name]
        del self._images[id_]
        others: set[str] = set()
        for members in self._members.values():
            if id_ in members:
                members.remove(id_)
                others |= set(members)
        self._settle(others)

    def _settle(self, changed: set[str]) -> None:
        """Forget the members of indexes that have no name any more, and renew what images say of their names."""
        self._view = None
        for target in [target for target in self._members if target not in self._seen().named]:
            changed |= set(self._members.pop(target))
            with self._store.transaction() as db:
                db.execute("delete from image_members where target = ?", (target,))
        self._view = None
        for one in changed & self._images.keys():
            self._refresh(one)

    def _seen(self) -> _View:
        """Return the names in the order that questions are asked in, worked out once after each change."""
        if self._view is None:
            self._view = _View({}, {}, {})
            for name, id_ in sorted(self._names.items()):
                self._view.led.setdefault(id_, []).append(name)
                self._view.named.setdefault(self._targets[name], []).append(name)
            for target, members in self._members.items():
                for id_ in members:
                    self._view.indexes.setdefault(id_, []).append(target)
        return self._view

    def _refresh(self, id_: str) -> Image:
        view = self._seen()
        its = {*view.led.get(id_, ()), *(name for one in view.indexes.get(id_, ()) for name in view.named.get(one, ()))}
        names = [(name, reference.parse(name)) for name in sorted(its)]
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
