"""Every case of the corpus built by `pydock build`: its image has what a dockerd's has, or it is refused."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from tests.dockerfiles import case, engines
from tests.dockerfiles.case import Case
from tests.dockerfiles.engines import Builder
from tests.fixtures.engine import Engine, RemoteEngine

pytestmark = pytest.mark.root
CASES = case.cases()
SIDE_BY_SIDE = 3


@pytest.fixture(scope="module")
def built(
    daemon: Engine | RemoteEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[list[str]]"]]:
    """The facts of all cases, built side by side; by name."""
    if not isinstance(daemon, Engine):
        pytest.skip("the corpus is compared with a dockerd by `make build-oracle`")
    home = tmp_path_factory.mktemp("home")
    builder = Builder("pydock", daemon.host, home)
    daemon.api.ok("POST", "/images/load", engines.base(home).read_bytes())
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {one.name: pool.submit(builder.facts, one) for one in CASES}
    builder.clear([one.name for one in CASES])
    daemon.api("POST", "/build/prune", all="1")
    daemon.clear()


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_the_image_of_a_case(one: Case, built: dict[str, "Future[list[str]]"]):
    facts = built[one.name].result()
    assert facts == one.section("facts").splitlines()


def test_the_corpus_is_large_and_covers_every_instruction():
    from pydock_daemon.builder.dockerfile import FLAGS, INSTRUCTIONS

    text = "\n".join(one.section("Dockerfile") for one in CASES)
    assert len(CASES) >= 60
    assert [name for name in INSTRUCTIONS if f"\n{name} " not in f"\n{text}"] == []
    flags = {flag for some in FLAGS.values() for flag in some}
    assert {flag for flag in flags if f"--{flag}" not in text} == {"checksum", "keep-git-dir"}  # these need a server


def test_every_case_has_its_facts():
    assert [one.name for one in CASES if not one.refusal("pydock") and not one.section("facts")] == []
