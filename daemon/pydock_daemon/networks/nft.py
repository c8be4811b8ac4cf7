"""libnftables through ctypes: one context, kept. Used by `firewall`.

A command is text in nft's own language and is one transaction of the kernel: all of it holds, or nothing. Adding or
deleting one element costs about 60 us. The context belongs to its Nft and is freed by `close`.
"""

import ctypes
import json
from typing import Any

from pydock_shared.errors import Unavailable

LIBRARY = "libnftables.so.1"
JSON_OUTPUT = 1 << 4
"""NFT_CTX_OUTPUT_JSON of libnftables(3)."""


class NftError(Exception):
    """The kernel or the parser refused a command; carries nft's own words."""


class Nft:
    """A context of libnftables; for one thread."""

    def __init__(self) -> None:
        try:
            self._library = _load()
        except OSError as error:
            raise Unavailable(f"{LIBRARY} is missing (Debian package libnftables1): {error}") from error
        self._context = ctypes.c_void_p(self._library.nft_ctx_new(0))
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, command: str) -> None:
        """Carry out a command; NftError when it is refused, then nothing of it holds."""
        self._run(command)

    def query(self, command: str) -> list[dict[str, Any]]:
        """Return the objects that a `list` or `get` command answers; NftError when there is no such thing."""
        self._library.nft_ctx_output_set_flags(self._context, JSON_OUTPUT)
        try:
            answer = self._run(command)
        finally:
            self._library.nft_ctx_output_set_flags(self._context, 0)
        found: list[dict[str, Any]] = json.loads(answer)["nftables"] if answer else []
        return found

    def _run(self, command: str) -> bytes:
        status = self._library.nft_run_cmd_from_buffer(self._context, command.encode())
        # Reading a buffer also empties it, so both are read each time.
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context) or b""
        trouble: bytes = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if status:
            raise NftError(trouble.decode(errors="replace").strip().partition("\n")[0] or f"nft failed: {status}")
        return output

    def close(self) -> None:
        """Free the context."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = ctypes.c_void_p()


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(LIBRARY)
    for name, result, arguments in (
        ("nft_ctx_new", ctypes.c_void_p, (ctypes.c_uint32,)),
        ("nft_ctx_free", None, (ctypes.c_void_p,)),
        ("nft_ctx_buffer_output", ctypes.c_int, (ctypes.c_void_p,)),
        ("nft_ctx_buffer_error", ctypes.c_int, (ctypes.c_void_p,)),
        ("nft_ctx_get_output_buffer", ctypes.c_char_p, (ctypes.c_void_p,)),
        ("nft_ctx_get_error_buffer", ctypes.c_char_p, (ctypes.c_void_p,)),
        ("nft_ctx_output_set_flags", None, (ctypes.c_void_p, ctypes.c_uint)),
        ("nft_run_cmd_from_buffer", ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, list(arguments)
    return library
