"""Builds for several platforms: an index under one name, and what does not depend on the platform made once."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_build import Project, build, project
from tests.e2e.test_buildkit import fails, folders, solved
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, RemoteEngine
from tests.fixtures.http import Api
from tests.fixtures.registry import serving

pytestmark = pytest.mark.root
__all__ = ["project"]
BOTH = "linux/amd64,linux/arm64/v8"
DOCKERFILE = """
FROM --platform=$BUILDPLATFORM busybox AS made
ARG TARGETPLATFORM TARGETVARIANT
RUN echo "$TARGETPLATFORM$TARGETVARIANT" >/for
FROM --platform=$BUILDPLATFORM busybox AS once
RUN cat /proc/sys/kernel/random/uuid >/once
FROM scratch
COPY --from=made /for /
COPY --from=once /once /
"""


@pytest.fixture(autouse=True)
def _only_here(daemon: Engine | RemoteEngine):
    if not isinstance(daemon, Engine):
        pytest.skip("an image store of one platform cannot keep the result")


def saved(cli: Cli, name: str, tmp_path: Path) -> dict[str, tuple[dict[str, Any], dict[str, bytes]]]:
    """The configuration and the files of each platform of an image."""
    cli("save", "-o", str(tmp_path / "saved.tar"), name)
    with tarfile.open(tmp_path / "saved.tar") as archive:

        def document(descriptor: dict[str, Any]) -> Any:
            return json.load(archive.extractfile(f"blobs/{descriptor['digest'].replace(':', '/')}"))  # type: ignore[arg-type]

        index = document(json.load(archive.extractfile("index.json"))["manifests"][0])  # type: ignore[arg-type]
        found = {}
        for entry in index["manifests"]:
            files, manifest = dict[str, bytes](), document(entry)
            for layer in manifest["layers"]:
                blob = archive.extractfile(f"blobs/{layer['digest'].replace(':', '/')}")
                with tarfile.open(fileobj=blob) as inner:
                    files |= {one.name: inner.extractfile(one).read() for one in inner if one.isfile()}  # type: ignore[union-attr]
            found["/".join(entry["platform"].values())] = (document(manifest["config"]), files)
        return found


def test_two_platforms(pydock: Cli, api: Api, project: Project, tmp_path: Path):
    told = build(pydock, project(Dockerfile=DOCKERFILE), "--no-cache", "--platform", BOTH, name="two:1")
    found = saved(pydock, "two:1", tmp_path)
    assert {platform: files["for"] for platform, (_, files) in found.items()} == {
        "amd64/linux": b"linux/amd64\n", "arm64/linux": b"linux/arm64\n"
    }  # fmt: skip
    assert len({files["once"] for _, files in found.values()}) == 1
    assert [config["architecture"] for config, _ in found.values()] == ["amd64", "arm64"]
    assert told.count("Using cache") == 1
    image = api.ok("GET", "/images/two:1/json")
    assert (image["Architecture"], image["Id"][7:19]) == ("amd64", told.split("Successfully built ")[1][:12])
    assert build(pydock, tmp_path / "project", "--platform", BOTH, name="two:1").count("Using cache") == 8
    refused = "the output type 'tar' is not supported for several platforms"
    pydock.fails("build", "--platform", BOTH, "-o", "type=tar,dest=x", ".", code=1, message=refused)


def test_another_platform_alone(pydock: Cli, api: Api, project: Project):
    """What it copies is for that platform; its programs cannot run here."""
    folder = project(Dockerfile="FROM scratch\nARG TARGETARCH\nCOPY prog /$TARGETARCH\n", prog="x")
    build(pydock, folder, "--platform", "linux/arm64")
    image = api.ok("GET", "/images/built:1/json")
    assert (image["Os"], image["Architecture"]) == ("linux", "arm64")
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00\x01" + bytes(40)
    (folder / "prog").write_bytes(elf)
    (folder / "prog").chmod(0o755)
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY prog /\nRUN ["/prog"]\n')
    pydock.fails("build", "--platform", "linux/arm64", str(folder), code=1, message="exec /prog: exec format error")


def test_buildkits_clients(daemon: Engine, pydock: Cli, tmp_path: Path):
    """The index is what is pushed, and its digest what they are told."""
    given = folders(tmp_path / "p", {"Dockerfile": f"{DOCKERFILE}COPY a /\n", "a": "1"})
    with serving(tmp_path / "registry") as registry:
        name = registry.name("pushed:1")
        answer, status = solved(daemon, given, {"platform": BOTH}, ExporterAttrs={"name": name, "push": "true"})
        shown = json.loads(pydock("manifest", "inspect", "--insecure", name))
    assert [one["platform"]["architecture"] for one in shown["manifests"]] == ["amd64", "arm64"]
    digests = pydock("image", "inspect", "-f", "{{json .RepoDigests}}", name)
    assert answer["containerimage.digest"] in digests
    names = {vertex.name for message in status for vertex in message.vertexes}
    assert "[linux/arm64 stage-2 3/3] COPY a /" in names
    assert "the exporter 'tar' is not supported for several" in fails(daemon, given, {"platform": BOTH}, Exporter="tar")
    wrong = folders(tmp_path / "w", {"Dockerfile": 'FROM scratch\nCOPY <<EOF /x\nEOF\nRUN ["/x"]\n'})
    assert 'exec: "/x": permission denied' in fails(daemon, wrong, {"platform": BOTH})


def test_annotations(pydock: Cli, daemon: Engine, project: Project, tmp_path: Path):
    """They stand in manifests and in the index, and make no other image of the same."""
    folder = project(Dockerfile="FROM scratch\nCOPY Dockerfile /\n")
    build(pydock, folder)
    plain = pydock("image", "inspect", "-f", "{{.Id}}", "built:1")
    options = ["--annotation", "a=b=c", "--annotation", "index,manifest:d=e", "--platform", BOTH]
    build(pydock, folder, *options, name="noted:1")
    pydock("save", "-o", str(tmp_path / "noted.tar"), "noted:1")
    with tarfile.open(tmp_path / "noted.tar") as archive:
        blobs = [archive.extractfile(one).read() for one in archive if one.isfile()]  # type: ignore[union-attr]
    found = [json.loads(blob) for blob in blobs if b'"annotations"' in blob and b'"io.containerd' not in blob]
    assert sorted(len(document["annotations"]) for document in found) == [1, 2, 2]
    assert {"a": "b=c", "d": "e"} in [document["annotations"] for document in found]
    given = folders(tmp_path / "g", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    solved(daemon, given, ExporterAttrs={"name": "noted:2", "annotation.a": "b"})
    refused = "index annotations not supported for single platform export"
    assert refused in fails(daemon, given, ExporterAttrs={"annotation-index.a": "b"})
    pydock.fails("build", "--annotation", "index:a=b", str(folder), code=1, message=refused)
    assert pydock("image", "inspect", "-f", "{{.Id}}", "built:1") == plain
