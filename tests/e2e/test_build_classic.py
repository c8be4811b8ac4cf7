"""What `POST /build` tells, line by line as Docker's classic builder does; dockerd passes the same tests."""

import io
import json
import re
import tarfile
import uuid
from typing import Any

import pytest
from tests.conftest import OTHER_HOST
from tests.fixtures.cli import Cli
from tests.fixtures.http import Api

pytestmark = pytest.mark.root
ID, SHA = re.compile(r"\b[0-9a-f]{12}\b"), re.compile(r"sha256:[0-9a-f]{64}")
RED = "\x1b[91m{}\n\x1b[0m"
MADE = " ---> ID\n"
RUNNING, REMOVED = " ---> Running in ID\n", " ---> Removed intermediate container ID\n"
CACHED = " ---> Using cache\n"

EVERYTHING = (
    "ARG BASE=busybox",
    "FROM $BASE AS one",
    "LABEL a=MARK",
    "ENV X=1 Y=2",
    "ARG Q=5",
    "MAINTAINER me",
    "RUN echo  out  $Q",
    "RUN echo bad >&2",
    'RUN ["/bin/echo", "a b"]',
    "WORKDIR /w",
    "COPY f /f",
    "ADD f g/",
    "USER 1:1",
    "EXPOSE 80 81/udp",
    "VOLUME /v",
    "STOPSIGNAL 9",
    'SHELL ["/bin/sh", "-ec"]',
    "HEALTHCHECK --interval=1s CMD true",
    'CMD ["a"]',
    "ENTRYPOINT b c",
    "ONBUILD RUN echo hi",
    "FROM scratch",
    "LABEL b=MARK",
    "COPY --from=one /f /f2",
    "COPY --from=0 --chown=1:1 /w/g /x/",
    "ENV Z=1",
)
OUTPUT = {"RUN echo  out": "out 5\n", "RUN echo bad": RED.format("bad"), 'RUN ["/bin/echo"': "a b\n"}
NO_CONTAINER = ("COPY", "ADD")


def told(api: Api, *lines: str, files: dict[str, str] | None = None, **query: str) -> str:
    """Return what a build tells, ids left out; a record that is no words is a line of JSON."""
    answer = api("POST", "/build", context("\n".join(lines), files or {}), timeout=60, **query)
    assert answer.status == 200, answer.body
    body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
    found = ""
    for line in body.splitlines():
        record: dict[str, Any] = json.loads(line) if line.strip() else {"stream": ""}
        found += record["stream"] if record.keys() == {"stream"} else json.dumps(record) + "\n"
    return ID.sub("ID", SHA.sub("SHA", found))


def context(dockerfile: str, files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for name, text in {"Dockerfile": dockerfile, **files}.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            made.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def expected(lines: list[str], *, cached: bool, total: int | None = None) -> str:
    """Return what is to be told of a build with all kinds of instructions."""
    text, stages = "", 0
    for number, line in enumerate(lines, 1):
        if line.startswith("FROM"):
            text += AUX if stages else ""
            stages += 1
        text += f"Step {number}/{total or len(lines)} : {line}\n"
        if not stages:
            continue
        if line == "FROM scratch":
            text += " ---> \n"
        elif line.startswith("FROM"):
            text += MADE
        elif cached:
            text += CACHED + MADE
        else:
            shown = "" if line.startswith(NO_CONTAINER) else RUNNING
            shown += "".join(output for begin, output in OUTPUT.items() if line.startswith(begin))
            text += shown + ("" if line.startswith(NO_CONTAINER) else REMOVED) + MADE
    return text + AUX


AUX = '{"aux": {"ID": "SHA"}}\n'
BUILT = "Successfully built ID\n"


def test_every_instruction_twice(api: Api):
    mark = f"m{uuid.uuid4().hex}"
    lines = [line.replace("MARK", mark) for line in EVERYTHING]
    for cached in (False, True):
        found = told(api, *lines, files={"f": "content"}, t=f"classic-{mark}:1")
        assert found == expected(lines, cached=cached) + BUILT + f"Successfully tagged classic-{mark}:1\n"


def test_nothing_but_what_others_run(api: Api):
    """A state without any history is one, too."""
    lines = ["FROM scratch", f"ONBUILD ENV A=m{uuid.uuid4().hex}"]
    begin = f"Step 1/2 : {lines[0]}\n ---> \nStep 2/2 : {lines[1]}\n"
    for shown in (RUNNING + REMOVED, CACHED):
        assert told(api, *lines) == begin + shown + MADE + AUX + BUILT


def test_the_image_after_a_step_is_one(api: Api, docker: Cli):
    answer = api(
        "POST", "/build", context(f"FROM busybox\nENV A={uuid.uuid4()}\nRUN echo x > /x\nENV B=2\nRUN exit 7", {})
    )
    ids = re.findall(r"(?:--->|---\\u003e) ([0-9a-f]{12})", str(answer.body))
    assert len(ids) == 4, answer.body
    assert docker("run", "--rm", ids[-1], "sh", "-c", "cat /x; echo $B").split() == ["x", "2"]
    assert docker("run", "--rm", ids[1], "sh", "-c", "ls /x 2>/dev/null; echo ${#A}").split() == ["36"]


def test_triggers_labels_and_arguments(api: Api, docker: Cli):
    mark = f"m{uuid.uuid4().hex}"
    base = f"classic-base-{mark}"
    told(api, "FROM busybox", f"ONBUILD ENV B={mark}", "ONBUILD RUN echo b", "ONBUILD COPY Dockerfile /df", t=base)
    steps = f"Step 1/4 : FROM {base}\n# Executing 3 build triggers\n{{}}{MADE}Step 2/4 : RUN echo after\n{{}}{MADE}"
    steps += f"Step 3/4 : LABEL a={mark}\n{{}}{MADE}Step 4/4 : LABEL b=c d\n{{}}{MADE}"
    end = f"{AUX}[Warning] One or more build-args [NOPE] were not consumed\n{BUILT}"
    query = {"labels": json.dumps({"b": "c d", "a": mark}), "buildargs": json.dumps({"NOPE": "1", "HTTP_PROXY": "x"})}
    whole = RUNNING + REMOVED
    fresh = (f"{whole}{RUNNING}b\n{REMOVED}", f"{RUNNING}after\n{REMOVED}", whole, whole)
    for shown in (fresh, (CACHED * 3, CACHED, CACHED, CACHED)):
        assert told(api, f"FROM {base}", "RUN echo after", **query) == steps.format(*shown) + end
    docker("rmi", base)


def test_a_step_that_fails_and_what_is_quiet(api: Api):
    mark = f"m{uuid.uuid4().hex}"
    lines = ["FROM busybox", f"ENV A={mark}", "RUN echo bad >&2; exit 3", "CMD x"]
    words = "The command '/bin/sh -c echo bad >&2; exit 3' returned a non-zero code: 3"
    error = json.dumps({"errorDetail": {"code": 3, "message": words}, "error": words}) + "\n"
    begin = f"Step 1/4 : FROM busybox\n{MADE}Step 2/4 : ENV A={mark}\n{{}}{MADE}Step 3/4 : {lines[2]}\n"
    begin += RUNNING + RED.format("bad")
    assert told(api, *lines) == begin.format(RUNNING + REMOVED) + error
    assert told(api, *lines, q="1") == begin.format(CACHED) + error
    assert told(api, *lines, forcerm="1") == begin.format(CACHED) + REMOVED + error
    assert told(api, *lines[:2], q="1") == "SHA\n"


@pytest.mark.skipif(bool(OTHER_HOST), reason="dockerd cuts characters at the end of a piece")
def test_text_between_pieces_of_output_stays_whole(api: Api):
    """A character of several bytes is told whole wherever the stream is cut."""
    text = told(api, "FROM busybox", "RUN yes 'ä€' | head -n 100000", nocache="1")
    assert text.count("ä€\n") == 100000
    assert "\ufffd" not in text


def test_only_the_images_that_are_named_are_a_cache(api: Api, docker: Cli):
    mark = f"m{uuid.uuid4().hex}"
    one = ["FROM busybox", f"ENV A={mark}", "RUN echo a > /a", "COPY f /f", "RUN true"]
    two = [line.replace("echo a", "echo c") for line in one]
    names = [f"classic-{mark}:{lines}" for lines in ("one", "two")]
    for lines, name in zip((one, two), names, strict=True):
        told(api, *lines, files={"f": "1"}, t=name)

    def cached(*images: str) -> int:
        return told(api, *one, files={"f": "1"}, cachefrom=json.dumps(images)).count(CACHED)

    assert cached() == cached(names[0]) == cached(names[1], names[0]) == 4
    assert cached(names[1]) == 1  # the ENV that both have
    assert cached("nowhere.invalid/none:1") == cached("busybox") == 0
    docker("rmi", *names)


def test_stages_side_by_side_are_told_one_after_another(api: Api):
    """A second stage that is ready first waits for its turn, also with more output than is held back."""
    mark = f"m{uuid.uuid4().hex}"
    flood = "RUN yes 0123456789 | head -n 300000"
    text = told(
        api, "FROM busybox AS slow", f"ENV A={mark}", "RUN sleep 1; echo first", "FROM busybox", flood,
        "COPY --from=slow /etc/passwd /p", nocache="1",
    )  # fmt: skip
    assert text.index("first\n") < text.index("Step 4/6")
    assert text.count("0123456789\n") == 300000
    assert [int(number) for number in re.findall(r"^Step (\d)/6", text, re.MULTILINE)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.skipif(bool(OTHER_HOST), reason="an extension of the API")
def test_what_pydock_build_asks_for_is_less(api: Api):
    lines = ["FROM busybox", f"ENV A=m{uuid.uuid4().hex}", "RUN echo bad >&2"]
    steps = "".join(f"Step {number}/3 : {line}\n{{}}" for number, line in enumerate(lines, 1))
    found = told(api, *lines, lean="1")
    assert found == steps.format(MADE, "", RUNNING + "bad\n" + REMOVED) + AUX + BUILT
