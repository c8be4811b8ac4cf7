"""Fields that come and go with the versions of the API."""

import pytest

from pydock_daemon.api.shapes import Field, shaped, with_old_aliases

FIELDS = (
    Field("A.New", since=(1, 44)),
    Field("A.*.Old", gone=(1, 50)),
    Field("Empty", gone=(1, 52), empty=True),
    Field("No.Such.*.Way", gone=(1, 30)),
)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((1, 43), {"A": {"x": {"Old": 1, "Stays": 2}}, "Empty": []}),
        ((1, 44), {"A": {"New": 0, "x": {"Old": 1, "Stays": 2}}, "Empty": []}),
        ((1, 50), {"A": {"New": 0, "x": {"Stays": 2}}, "Empty": []}),
        ((1, 52), {"A": {"New": 0, "x": {"Stays": 2}}}),
    ],
)
def test_a_version_has_its_fields(version, expected):
    answer = {"A": {"New": 0, "x": {"Old": 1, "Stays": 2}}, "Empty": []}
    assert shaped(answer, FIELDS, version) == expected


def test_what_is_empty_only_goes_when_it_is():
    assert shaped({"Empty": [1]}, FIELDS, (1, 55)) == {"Empty": [1]}


def test_the_short_id_was_an_alias():
    def answer():
        networks = {"bridge": {"Aliases": None}, "back": {"Aliases": ["a"]}}
        return {"Id": "0123456789abcdef", "NetworkSettings": {"Networks": networks}}

    old = with_old_aliases(answer(), (1, 44))["NetworkSettings"]["Networks"]
    assert (old["bridge"]["Aliases"], old["back"]["Aliases"]) == (None, ["a", "0123456789ab"])
    assert with_old_aliases(answer(), (1, 45)) == answer()
