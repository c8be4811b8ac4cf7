"""Writing a layer onto a copy of the tree below it: whiteouts are removals. A child of the fork server, for `plain`."""

import json
import os

from .extract import META, OPAQUE, Extractor, hidden_by, is_folder, remove_tree
from .layer import KEPT_XATTRS
from .tarstream import Archive, Entry
from .unpack import unpack


class Applier(Extractor):
    """Writes the members of one layer below the current root, where the layers below it are already.

    As with overlayfs a whiteout is about what lies below, wherever in the archive it stands: what this layer has
    itself stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self._own: set[bytes] = set()

    def _member(self, archive: Archive, entry: Entry, name: bytes) -> None:
        super()._member(archive, entry, name)
        while name and name not in self._own:
            self._own.add(name)
            name = os.path.dirname(name)

    def _directory(self, archive: Archive, entry: Entry, name: bytes) -> None:
        if is_folder(name):
            # What the layer says of a folder is all there is to say.
            for key in os.listxattr(name, follow_symlinks=False):
                if key.startswith((*KEPT_XATTRS, "system.posix_acl_")):
                    os.removexattr(name, key, follow_symlinks=False)
        super()._directory(archive, entry, name)

    def _whiteout(self, name: bytes, base: bytes) -> None:
        folder = os.path.dirname(name)
        if base == OPAQUE:
            self._empty(folder or b".")
        elif not base.startswith(META):
            self._remove(os.path.join(folder, hidden_by(name, base)))

    def _remove(self, path: bytes) -> None:
        """Remove what a lower layer has under a name."""
        if is_folder(path):
            if path in self._own:
                self._empty(path)
            else:
                remove_tree(path)
        elif path not in self._own and os.path.lexists(path):
            os.unlink(path)

    def _empty(self, folder: bytes) -> None:
        if is_folder(folder):
            for name in os.listdir(folder):
                self._remove(name if folder == b"." else os.path.join(folder, name))


def main(target: str) -> None:
    """Unpack onto what is in a folder, and end."""
    os.write(1, json.dumps(unpack(target, Applier())).encode())
    os._exit(0)  # as in `unpack`
