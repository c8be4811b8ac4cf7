"""A name that wants signatures is run and built on only if its image is signed or was made here."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine
from tests.fixtures.signatures import Signer

REFUSED = r"reg.example/\w+:1 is refused by the signature policy of reg.example: no signature of it was found"


def test_what_came_from_elsewhere_and_what_was_made_here(fresh_daemon: Callable[..., Engine], tmp_path: Path) -> None:
    config, archive = tmp_path / "daemon.json", tmp_path / "saved.tar"
    rule = {"mode": "require", "keys": [str(Signer(tmp_path).public)]}
    config.write_text(json.dumps({"signatures": {"reg.example": rule}}))
    host = fresh_daemon("--config-file", str(config)).host
    docker, pydock = Cli("docker", host, tmp_path), Cli("pydock", host, tmp_path)

    docker("tag", "busybox", "reg.example/tagged:1")
    docker("save", "-o", str(archive), "reg.example/tagged:1")
    docker("rmi", "reg.example/tagged:1")
    docker("load", "-i", str(archive))
    docker("create", "--name", "source", "busybox")
    docker("export", "-o", str(archive), "source")
    docker("import", str(archive), "reg.example/imported:1")
    for name in ("tagged", "imported"):
        docker.fails("run", f"reg.example/{name}:1", "true", code=125, message=REFUSED)
        (tmp_path / "Dockerfile").write_text(f"FROM reg.example/{name}:1\nRUN true\n")
        for cli in (docker, pydock):
            cli.fails("build", str(tmp_path), code=1, message=REFUSED)
        (tmp_path / "Dockerfile").write_text(f"FROM busybox\nCOPY --from=reg.example/{name}:1 /bin /there\n")
        pydock.fails("build", str(tmp_path), code=1, message=REFUSED)

    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN touch /x\nRUN touch /y\n")
    pydock("build", "-t", "reg.example/built:1", str(tmp_path))
    docker("commit", "source", "reg.example/committed:1")
    for name in ("built", "committed"):
        docker("run", "--rm", f"reg.example/{name}:1", "true")
    docker("tag", "reg.example/tagged:1", "other:1")
    docker("run", "--rm", docker("inspect", "-f", "{{.Id}}", "other:1"), "true")  # busybox, by a name that asks nothing
