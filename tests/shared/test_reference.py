"""Names of images: Docker's short forms, its grammar, its words for what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_shared import reference
from pydock_shared.errors import InvalidArgument
from pydock_shared.reference import Reference, parse

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("library/sub/busybox", "docker.io/library/sub/busybox:latest", "library/sub/busybox:latest"),
        ("me/tool", "docker.io/me/tool:latest", "me/tool:latest"),
        ("a__b/c--d", "docker.io/a__b/c--d:latest", "a__b/c--d:latest"),
        ("localhost/tool", "localhost/tool:latest", "localhost/tool:latest"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ("Registry/a", "Registry/a:latest", "Registry/a:latest"),
        ("ghcr.io/a/b:v1_2-3", "ghcr.io/a/b:v1_2-3", "ghcr.io/a/b:v1_2-3"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox:1@{DIGEST}", f"busybox:1@{DIGEST}"),
        ("busybox:" + "t" * 128, "docker.io/library/busybox:" + "t" * 128, "busybox:" + "t" * 128),
    ],
)
def test_what_a_name_stands_for(text: str, canonical: str, familiar: str) -> None:
    found = parse(text)
    assert (found.canonical(), found.familiar()) == (canonical, familiar)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase"),
        ("me/Tool:x", "invalid reference format: repository name (me/Tool) must be lowercase"),
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("a:.x", "invalid reference format"),
        ("a:b:c", "invalid reference format"),
        ("a..b", "invalid reference format"),
        ("a___b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("/a", "invalid reference format"),
        ("a/", "invalid reference format"),
        ("a//b", "invalid reference format"),
        ("a\n", "invalid reference format"),
        ("a:tag\n", "invalid reference format"),
        ("x_y.com/a", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("a@sha256:abc", "invalid reference format"),
        ("a@", "invalid reference format"),
        ("a@md5:" + "0" * 32, "unsupported digest algorithm"),
        ("a@sha256:" + "0" * 63, "invalid checksum digest length"),
        ("a@sha256:" + "A" * 64, "invalid checksum digest format"),
        ("x.y/" + "a" * 256, "repository name must not be more than 255 characters"),
        (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_what_is_no_name(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse(text)
    assert caught.value.message == message


def test_without_a_default_tag_a_bare_name_stays_bare() -> None:
    assert parse("busybox", default_tag=False).tag is None
    assert parse("busybox:1", default_tag=False).tag == "1"
    assert parse(f"busybox@{DIGEST}").tag is None


@pytest.mark.parametrize("tag", ["latest", "1.0-rc_1", "_", "A" * 128])
def test_a_tag(tag: str) -> None:
    reference.check_tag(tag)


@pytest.mark.parametrize("tag", ["", "/", ".x", "-x", "a b", "a\n", "A" * 129])
def test_what_is_no_tag(tag: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid tag format"):
        reference.check_tag(tag)


def test_names_are_equal_by_what_they_stand_for() -> None:
    assert parse("busybox") == parse("docker.io/library/busybox:latest")
    assert len({parse("busybox"), parse("busybox:latest"), parse("busybox:1")}) == 2
    assert parse("busybox") != "busybox"


COMPONENT = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
NAMES = st.builds(
    Reference,
    st.sampled_from([reference.HUB, "localhost", "localhost:5000", "example.com", "10.0.0.1:80", "[::1]:5000"]),
    st.lists(COMPONENT, min_size=2, max_size=4).map("/".join),
    st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)),
    st.one_of(st.none(), st.just(DIGEST)),
)


@given(NAMES)
def test_both_forms_read_back_as_the_same_name(name: Reference) -> None:
    assert parse(name.canonical(), default_tag=False) == name
    # A first component that looks like a domain cannot lose the one before it: Docker has this gap as well.
    first = name.familiar_name().partition("/")[0]
    if name.domain != reference.HUB or not ("." in first or first == "localhost"):
        assert parse(name.familiar(), default_tag=False) == name


@given(st.one_of(st.text(), st.text(alphabet="aA0._-:/@[]", max_size=40)))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except InvalidArgument:
        return
    assert parse(found.canonical()) == found
