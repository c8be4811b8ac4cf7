"""Ids and names of containers and networks: the rule for a name, new ids, and random names. Used by the daemon."""

import os
import re

from .errors import InvalidArgument

RULE = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_NAME = re.compile(RULE + "+")

_MOODS = (
    "able amber bold brave bright calm candid clever cosy crisp daring deft eager early easy fair fast fine fresh "
    "gentle glad golden grand happy hardy honest humble jolly keen kind lively loyal lucky mellow merry mild "
    "modest neat noble patient placid plain polite proud quick quiet ready silver simple smart snug solid spry "
    "steady still sunny sure swift tidy tranquil trusty vivid warm wise witty zesty"
).split()
_BEASTS = (
    "albatross alpaca badger beaver bison bobcat buzzard camel caribou cheetah chough condor cormorant coyote "
    "crane curlew deer dolphin donkey dunlin eagle egret elk falcon ferret finch fox gannet gazelle gecko goose "
    "grebe grouse gull hare hawk heron hornbill ibex ibis jackal jaguar kestrel kingfisher kite lapwing lark "
    "lemur leopard linnet lynx magpie marmot marten merlin moose narwhal newt ocelot orca osprey otter owl panda "
    "pelican penguin petrel pheasant plover puffin quail raven redshank robin sandpiper seal shrike skua snipe "
    "sparrow starling stoat stork swallow swan swift tapir teal tern thrush toucan turtle viper vole walrus "
    "weasel whale wigeon wolf wombat wren yak"
).split()


def new_id() -> str:
    """Return a new id: 64 hexadecimal digits, of which the first twelve, the host name, are never all decimal."""
    while (id_ := os.urandom(32).hex())[:12].isdigit():
        pass
    return id_


def random_name() -> str:
    """Return a name for a container that was not given one: `quiet_heron` or `quiet_heron7`."""
    digit = ("", *"0123456789")[_below(11)]
    return f"{_MOODS[_below(len(_MOODS))]}_{_BEASTS[_below(len(_BEASTS))]}{digit}"


def valid(name: str) -> bool:
    """Say whether a container, volume or network of the local kind can have this name."""
    return _NAME.fullmatch(name) is not None


def check(name: str) -> None:
    """Raise InvalidArgument with Docker's words when a container cannot have this name."""
    if not valid(name):
        raise InvalidArgument(f"Invalid container name ({name}), only {RULE} are allowed")


def _below(bound: int) -> int:
    """Return a random number below a bound that is small; the modules that do it exactly cost 5 ms of start-up."""
    return int.from_bytes(os.urandom(4)) % bound
