"""Messages of DNS: what is read of hostile ones, what is written."""

import contextlib
import os
import random

import pytest
from tests.fixtures.dns import question, read

from pydock_daemon.networks import dnswire
from pydock_daemon.networks.dnswire import FORMERR, NOERROR, NOTIMP, A, Malformed, parse, reply


def test_a_question_is_read():
    query = parse(question("Web.MyNet", 28, edns=1232))
    assert (query.id, query.name, query.type, query.size, query.edns) == (7, "web.mynet", 28, 1232, True)
    assert parse(question("web")).size == 512
    assert parse(question("")).name == ""


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (b"", None),
        (b"\0" * 11, None),
        (b"\0\7\x80\0" + question("web")[4:], None),
        (b"\0\7\x28\0" + question("web")[4:], NOTIMP),
        (question("web")[:4] + b"\0\0" + question("web")[6:], FORMERR),
        (question("web")[:4] + b"\0\2" + question("web")[6:], FORMERR),
        (question("web")[:14], FORMERR),
        (question("web")[:-1], FORMERR),
        (question("web")[:12] + b"\xc0\x0c\0\1\0\1", FORMERR),
        (question("web")[:12] + b"\x40" + b"a" * 64 + b"\0\0\1\0\1", FORMERR),
        (question("web")[:12] + b"\1a" * 200 + b"\0\0\1\0\1", FORMERR),
    ],
)
def test_what_is_no_question(data, rcode):
    with pytest.raises(Malformed) as caught:
        parse(data)
    assert caught.value.rcode == rcode
    if rcode is not None:
        assert read(dnswire.complaint(data, rcode)).rcode == rcode


def test_whatever_comes_is_a_question_or_malformed():
    chance = random.Random(1)
    for _ in range(3000):
        data = bytearray(question("web.example", edns=4096))
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        for message in (bytes(data[: chance.randint(0, len(data))]), os.urandom(40)):
            with contextlib.suppress(Malformed):
                assert len(parse(message).name) <= 255


def test_a_dot_within_a_label_makes_a_name_of_nobody():
    assert parse(question("x")[:12] + b"\3a.b\0\0\1\0\1").name == ""


def test_an_answer_that_is_too_long_is_cut_off_and_says_so():
    addresses = [bytes([10, 0, 0, number]) for number in range(100)]
    cut = read(reply(parse(question("web", A)), NOERROR, addresses))
    assert cut.truncated
    assert 0 < len(cut.found) < 100
    whole = read(reply(parse(question("web", A, edns=4096)), NOERROR, addresses))
    assert (len(whole.found), whole.truncated, whole.edns) == (100, False, True)
    assert len(read(reply(parse(question("web", A)), NOERROR, addresses, datagram=False)).found) == 100


def test_only_the_answer_to_what_was_asked_counts():
    query = parse(question("web"))
    right = reply(query, NOERROR)
    assert dnswire.answers(dnswire.with_id(right, 99), query, 99)
    assert not dnswire.answers(right, query, 99)
    assert not dnswire.answers(question("web"), query, 7)
    assert not dnswire.answers(reply(parse(question("wet")), NOERROR), query, 7)
    assert not dnswire.answers(right[:11], query, 7)
