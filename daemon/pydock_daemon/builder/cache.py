"""What steps have made before: images by the key of everything that could change them. Used by `steps` and the API.

An entry is an image without a name, hidden from lists; it goes with the image, so removing one never leaves the other.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydock_daemon.images.manifest import digest_of
from pydock_daemon.images.model import Image
from pydock_daemon.images.service import Images
from pydock_daemon.store import Store
from pydock_shared.errors import NotFound

from .cacheconfig import Documents
from .contexts import Contexts

SCHEMA = """
create table if not exists build_cache (
    key text primary key,
    image text not null references images (id) on delete cascade,
    step text not null,
    created integer not null,
    used integer not null,
    hits integer not null
);
create index if not exists build_cache_image on build_cache (image);
"""

WHOLE = "image"
"""The step of an entry that is a whole build: its image is nobody's step between, and is shown."""
EXPORTED = "exported result"
"""The step of an entry that is a whole build whose result has gone elsewhere; it is hidden as the steps between are."""


MOST_EXPORTS = 8
SHORT = 24
"""The digits of a key that are an entry's id."""


def key(*facts: Any) -> str:
    """Return the key of a step."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Cache:
    """The cache of one daemon."""

    def __init__(self, store: Store, images: Images, contexts: Contexts) -> None:
        """`contexts` are those that are kept, which are a part of the cache."""
        self._store, self._images, self.contexts = store, images, contexts
        rows = store.all("select image, step from build_cache")
        self._begun: Counter[str] = Counter()
        self._of_cache = {row["image"] for row in rows} - {row["image"] for row in rows if row["step"] == WHOLE}
        images.hidden = self._hides
        self._exports: dict[str, Documents] = {}

    def _hides(self, image: Image) -> bool:
        return image.id in self._of_cache and not image.repo_tags and not image.repo_digests

    def find(self, wanted: str) -> Image | None:
        """Return what a step has made before, if it is still here whole."""
        for row in self._store.all("select image from build_cache where key = ?", (wanted,)):
            image = self._images.get(row["image"])
            if image and self._images.is_whole(image):
                with self._store.transaction() as db:
                    db.execute(
                        "update build_cache set used = ?, hits = hits + 1 where key = ?", (time.time_ns(), wanted)
                    )
                return image
        return None

    def keep(self, wanted: str, image: Image, step: str) -> None:
        """Remember what a step has made; what it had made before goes, unless that is more than a step's."""
        now = time.time_ns()
        before = self._store.all("select image from build_cache where key = ? and image != ?", (wanted, image.id))
        with self._store.transaction() as db:
            db.execute(
                "insert into build_cache (key, image, step, created, used, hits) values (?, ?, ?, ?, ?, 0) "
                "on conflict (key) do update set image = excluded.image, step = excluded.step, used = excluded.used",
                (wanted, image.id, step, now, now),
            )
        (self._of_cache.discard if step == WHOLE else self._of_cache.add)(image.id)
        for row in before:
            if not self._store.all("select key from build_cache where image = ?", (row["image"],)):
                self._remove(row["image"])

    def export(self, made: Documents) -> str:
        """Remember a cache for its client to fetch or push; return its name. The last few are."""
        name = digest_of(made.manifest)
        self._exports.pop(name, None)
        self._exports[name] = made
        for old in list(self._exports)[:-MOST_EXPORTS]:
            del self._exports[old]
        return name

    def exported(self, name: str) -> Documents:
        """Return such a cache; NotFound: there is none of that name."""
        if name not in self._exports:
            raise NotFound(f"no such build cache: {name}")
        return self._exports[name]

    @contextmanager
    def begun(self, image: Image) -> Iterator[None]:
        """Keep an image for the block that was made for a step to begin with; builds side by side share them."""
        self._begun[image.id] += 1
        try:
            yield
        finally:
            self._begun[image.id] -= 1
            if not self._begun[image.id]:
                del self._begun[image.id]
                self._drop(image)

    def _drop(self, image: Image) -> None:
        """Forget such an image, unless it is more than that by now."""
        found = self._images.get(image.id)
        if found is None or image.id in self._of_cache or found.repo_tags or found.repo_digests:
            return
        known = self._store.all("select key from build_cache where image = ?", (image.id,))
        if not known and not self._images.users(image.id):
            self._images.names.remove(image.id)

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries as Docker's BuildCache records, the youngest first; `Image` is what was kept.

        An image that is known by several keys is one entry; files that an older entry has as well are counted there.
        One in use has a name, or a build works with it; one that is shared has its files from an image with a name, so
        that removing it frees nothing.
        """
        found = []
        named = [image for image in self._images if image.repo_tags or image.repo_digests]
        ids, chains = {image.id for image in named}, {chain for image in named for chain in image.chain}
        seen: set[str] = set()
        for row in self._store.all("select * from build_cache order by created"):
            image = self._images.get(row["image"])
            if image is None or image.id in seen:
                continue
            seen.add(image.id)
            top = self._images.snapshots.layer(image.chain[-1]) if image.chain else None
            shared = image.id in ids or (top is not None and top.chain in chains)
            in_use = image.id in ids or self._images.content.held(image.id)
            found.append({
                "ID": row["key"][:SHORT], "Type": "regular", "Description": row["step"], "InUse": in_use,
                "Shared": shared, "Size": top.used if top and top.chain not in seen else 0, "CreatedAt": row["created"],
                "LastUsedAt": row["used"], "UsageCount": row["hits"] + 1, "Image": image,
            })  # fmt: skip
            seen |= {top.chain} if top else set()
        return found[::-1]

    def forget(self, entry: dict[str, Any]) -> None:
        """Forget an entry, and its image when that was nothing else; what it had goes with the next sweep."""
        image: Image = entry["Image"]
        with self._store.transaction() as db:
            db.execute("delete from build_cache where image = ?", (image.id,))
        self._remove(image.id)

    def _remove(self, id_: str) -> None:
        """Remove an image that was kept for the cache alone, if nothing uses it."""
        image = self._images.get(id_)
        if image and self._hides(image) and not self._images.users(id_):
            self._images.names.remove(id_)
