"""Keys of whoever started the runtime: the session keyring must not go along."""

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.runtime import box, machine
from tests.runtime.test_verbs import Runtime

pytestmark = [pytest.mark.root, machine.needs_x86_64]
ADD_KEY, KEYCTL, JOIN, SEARCH, SESSION = 248, 250, 1, 10, -3
libc = ctypes.CDLL(None, use_errno=True)


def in_a_session_with_a_secret(action: Callable[[], bool]) -> bool:
    """Do something in a child whose session keyring holds a key."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            libc.syscall(KEYCTL, JOIN, b"pydock-test-session")
            libc.syscall(ADD_KEY, b"user", b"pydock-test-secret", b"x", 1, SESSION)
            code = 0 if action() else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 1)
    return code == 0


@pytest.fixture
def thief(tmp_path: Path) -> Iterator[Runtime]:
    """A container whose program looks for the key in its session."""
    root = box.make_root(tmp_path / "root")
    machine.install(root, "bin/thief", (KEYCTL, SEARCH, SESSION, b"user", b"pydock-test-secret", 0))
    made = Runtime(tmp_path, root)
    yield made
    for id in made.ids:
        made("delete", "--force", id)


def test_the_caller_s_keys_stay_outside(thief: Runtime) -> None:
    def found(*flags: str) -> bool:
        id = thief.configure("/bin/thief")
        return thief("run", *flags, "--bundle", str(thief.bundle), id).returncode == 0

    assert not in_a_session_with_a_secret(found)
    assert in_a_session_with_a_secret(lambda: found("--no-new-keyring"))


def test_those_of_an_exec_s_caller_as_well(thief: Runtime) -> None:
    id = thief.create("sleep", "100")
    thief.ok("start", id)
    assert not in_a_session_with_a_secret(lambda: thief("exec", id, "/bin/thief").returncode == 0)
