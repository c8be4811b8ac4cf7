"""What automatic collection has to know of images: when each was used last, and which are pinned. Used by `service`.

Uses are noted in memory, which is all that a start pays for, and written together a minute later and when the daemon
ends; one that is killed forgets the last minute. A pin is of a name, whichever image has it, or of an id, and stays
until it is taken away.
"""

import asyncio
import time
from collections.abc import Iterator

from pydock_daemon.store import Store
from pydock_shared import reference

from .model import Image
from .refs import Names, key_of

SCHEMA = """
create table if not exists image_uses (
    image text primary key references images (id) on delete cascade,
    used integer not null
);
create table if not exists image_pins (
    target text primary key
);
"""
LABEL = "io.pydock.image.pin"
"""An image with this label is pinned, unless its value says no."""
NO = {"false", "0", "no"}
DELAY = 60.0


class Uses:
    """The uses and pins of one store."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store, self._names = store, names
        self._used: dict[str, int] = {row["image"]: row["used"] for row in store.all("select * from image_uses")}
        self._pinned: set[str] = {row["target"] for row in store.all("select * from image_pins")}
        self._unwritten: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def touch(self, image: str) -> None:
        """Note that an image, by its id, is used now."""
        self._used[image] = time.time_ns()
        self._unwritten.add(image)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self.write)

    def last(self, image: Image) -> int:
        """Return when an image was used last, in nanoseconds since the epoch; one never seen is used now."""
        if image.id not in self._used:
            self.touch(image.id)
        return self._used[image.id]

    def write(self) -> None:
        """Write what was noted."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        rows = [(image, self._used[image]) for image in self._unwritten if self._names.get(image)]
        self._unwritten.clear()
        if rows:
            with self._store.transaction() as db:
                db.executemany("insert or replace into image_uses (image, used) values (?, ?)", rows)
        self._used = {image: used for image, used in self._used.items() if self._names.get(image)}

    def pin(self, text: str) -> None:
        """Pin a name, or with an id the image itself; NotFound when there is no such image."""
        target = self._target(text)
        with self._store.transaction() as db:
            db.execute("insert or ignore into image_pins (target) values (?)", (target,))
        self._pinned.add(target)

    def unpin(self, text: str) -> None:
        """Take a pin away; NotFound when there is neither the pin nor the image."""
        named = key_of(reference.parse(text)) if text not in self._pinned and not text.startswith("sha256:") else text
        target = named if named in self._pinned else self._target(text)
        with self._store.transaction() as db:
            db.execute("delete from image_pins where target = ?", (target,))
        self._pinned.discard(target)

    def _target(self, text: str) -> str:
        image, ref = self._names.find(text)
        return key_of(ref) if ref else image.id

    def is_pinned(self, image: Image) -> bool:
        """Say whether an image is pinned: by its id, by one of its names, or by its label."""
        label = image.labels.get(LABEL)
        if label is not None and label.strip().lower() not in NO:
            return True
        names = (key_of(reference.parse(name)) for name in (*image.repo_tags, *image.repo_digests))
        return image.id in self._pinned or any(name in self._pinned for name in names)

    def pins(self) -> Iterator[tuple[str, Image | None]]:
        """Yield every pin as people write it, with the image that has it now."""
        for target in sorted(self._pinned):
            if target.startswith("sha256:"):
                yield target, self._names.get(target)
            else:
                ref = reference.parse(target)
                yield ref.familiar(), self._names.holder(ref)
