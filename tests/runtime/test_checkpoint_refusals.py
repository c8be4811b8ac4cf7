"""What `checkpoint` and `restore` refuse, and what they leave then."""

import os
import sys
from pathlib import Path

import pytest
from tests.runtime.test_checkpoint import Pipe, call, criu, images, output, running
from tests.runtime.test_verbs import OTHER, Runtime, ours_only, runtime

__all__ = ["criu", "output", "runtime"]

pytestmark = pytest.mark.root


@pytest.mark.usefixtures("criu")
def test_what_criu_cannot_do_is_told_with_its_reasons(runtime: Runtime) -> None:
    # Its output is a file that is not in the container.
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    done = runtime("checkpoint", *images(runtime), id)
    assert (done.returncode, runtime.status(id)) == (1, "running")
    assert "criu failed: type" in done.stderr
    if not OTHER:
        log = runtime.bundle.parent / "work/dump.log"
        assert f"{runtime.bundle.parent}/output" in done.stderr
        assert f"log file: {log}\n" in done.stderr
        assert log.exists()


@ours_only
@pytest.mark.usefixtures("criu")
def test_a_restore_that_fails_leaves_nothing(runtime: Runtime, output: Pipe) -> None:
    id = running(runtime, output)
    runtime.ok("checkpoint", *images(runtime), id)
    output.lines(1)
    (runtime.bundle.parent / "images/pstree.img").write_bytes(b"nonsense")
    done = call(runtime, output, "restore", *images(runtime), "--bundle", str(runtime.bundle), id)
    text = "\n".join(output.lines(2))
    assert (done.returncode, "criu failed: type RESTORE errno" in text) == (1, True), text
    (runtime.bundle.parent / "images/descriptors.json").unlink()
    done = call(runtime, output, "restore", *images(runtime), "--bundle", str(runtime.bundle), id)
    assert (done.returncode, output.lines(1)) == (
        1,
        ["pydock-runtime: not a checkpoint: descriptors.json: no such file or directory"],
    )
    assert runtime("state", id).returncode == 1
    assert not [path for path in Path("/sys/fs/cgroup").glob(f"**/{id}") if path.is_dir()]


def test_a_container_that_does_not_run_has_no_checkpoint(runtime: Runtime) -> None:
    id = runtime.create("true")
    assert "cannot be checkpointed in created state" in runtime("checkpoint", *images(runtime), id).stderr
    runtime.ok("start", id)
    runtime.wait_for(id, "stopped")
    assert "cannot be checkpointed in stopped state" in runtime("checkpoint", *images(runtime), id).stderr


@ours_only
@pytest.mark.parametrize(
    ("program", "message"),
    [
        (None, "checkpoint and restore need criu, which is not installed"),
        (
            "sock.recv(99); sock.send(bytes.fromhex('080a10015204080310 0d'))",
            "criu 3.13 is too old: 3.15 or newer is needed",
        ),
        ("", "criu ended without an answer"),
        ("sock.recv(99); sock.send(b'nonsense')", "criu's answer cannot be read: field of an unknown type 6"),
    ],
)
def test_a_criu_that_is_of_no_use_is_told(runtime: Runtime, program: str | None, message: str) -> None:
    folder = runtime.bundle.parent / "bin"
    folder.mkdir()
    if program is not None:
        (folder / "criu").write_text(
            f"#!{sys.executable} -IS\nimport socket\nsock = socket.socket(fileno=3)\n{program}\n"
        )
        (folder / "criu").chmod(0o755)
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    done = runtime("checkpoint", *images(runtime), id, env={**os.environ, "PATH": str(folder)})
    assert (done.returncode, done.stderr) == (1, f"pydock-runtime: {message}\n")
    assert runtime.status(id) == "running"


@ours_only
def test_flags_that_cannot_be_carried_out_are_told(runtime: Runtime) -> None:
    id = runtime.create("sleep", "100")
    runtime.ok("start", id)
    for argv, message in (
        (["checkpoint", "--empty-ns", "pid"], 'namespace "pid" is not supported'),
        (["checkpoint", "--manage-cgroups-mode", "hard"], "invalid manage-cgroups-mode value 'hard'"),
        (["checkpoint", "--page-server", "here"], "Use --page-server ADDRESS:PORT to specify page server"),
        (["checkpoint", "--parent-path", "/"], "--parent-path must be relative"),
        (["checkpoint", "--parent-path", "nowhere"], "invalid --parent-path: nowhere is no folder"),
        (["restore", "--no-pivot"], "--no-pivot is not supported: criu pivots"),
    ):
        done = runtime(*argv, id)
        assert (done.returncode, done.stderr) == (1, f"pydock-runtime: {message}\n")
