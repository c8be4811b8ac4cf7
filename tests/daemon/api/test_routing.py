"""From a path to its handler."""

import json

import pytest

from pydock_daemon.api.routing import Router, json_response
from pydock_daemon.api.versions import split
from pydock_shared.errors import InvalidArgument

ROUTER = Router(
    [
        ("GET", "/containers/json", "list"),
        ("GET", "/containers/{name}/json", "inspect"),
        ("GET", "/images/{name:path}/json", "image"),
        ("DELETE", "/images/{name:path}", "remove"),
        ("POST", "/images/{name:path}/tag", "tag"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/containers/json", ("list", {})),
        ("GET", "/containers/web/json", ("inspect", {"name": "web"})),
        ("GET", "/images/a/b/c:1/json", ("image", {"name": "a/b/c:1"})),
        ("GET", "/images/a%2Fb/json", ("image", {"name": "a/b"})),
        ("DELETE", "/images/localhost:5000/x", ("remove", {"name": "localhost:5000/x"})),
        ("POST", "/images/x/tag", ("tag", {"name": "x"})),
        ("GET", "/containers//web/json", ("inspect", {"name": "web"})),
        ("GET", "/containers/a/b/json", None),
        ("POST", "/containers/json", None),
        ("GET", "/nonsense", None),
    ],
)
def test_find(method, path, expected):
    assert ROUTER.find(method, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1.24/info", ((1, 24), "/info")),
        ("/v1.55/images/v1.30/json", ((1, 55), "/images/v1.30/json")),
        ("/_ping", ((1, 55), "/_ping")),
    ],
)
def test_version(path, expected):
    assert split(path) == expected


@pytest.mark.parametrize(
    ("path", "word"), [("/v1.23/info", "too old"), ("/v1.56/info", "too new"), ("/v2.0/x", "too new")]
)
def test_version_out_of_range(path, word):
    with pytest.raises(InvalidArgument, match=word):
        split(path)


@pytest.mark.parametrize("text", ["plain", 'a "quoted"\n\x00', "é<&>\u2028", "a name that is \udcff not UTF-8"])
def test_any_text_is_json(text):
    answer = json_response({text: [text, 1 << 70, None]}, 201)
    assert answer.status == 201
    assert answer.body.endswith(b"}\n")
    assert json.loads(answer.body) == {text: [text, 1 << 70, None]}
