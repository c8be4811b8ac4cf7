"""Ids and names of containers and networks: the rule for a name, new ids, and random names. Used by the daemon."""

import random
import re
import secrets

from .errors import InvalidArgument

RULE = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_NAME = re.compile(RULE + "+")

_MOODS = ["able", "amber", "bold", "brave", "bright", "calm", "candid", "clever", "cosy", "crisp", "daring", "deft", "eager", "early", "easy", "fair", "fast", "fine", "fresh", "gentle", "glad", "golden", "grand", "happy", "hardy", "honest", "humble", "jolly", "keen", "kind", "lively", "loyal", "lucky", "mellow", "merry", "mild", "modest", "neat", "noble", "patient", "placid", "plain", "polite", "proud", "quick", "quiet", "ready", "silver", "simple", "smart", "snug", "solid", "spry", "steady", "still", "sunny", "sure", "swift", "tidy", "tranquil", "trusty", "vivid", "warm", "wise", "witty", "zesty"]
_BEASTS = ["albatross", "alpaca", "badger", "beaver", "bison", "bobcat", "buzzard", "camel", "caribou", "cheetah", "chough", "condor", "cormorant", "coyote", "crane", "curlew", "deer", "dolphin", "donkey", "dunlin", "eagle", "egret", "elk", "falcon", "ferret", "finch", "fox", "gannet", "gazelle", "gecko", "goose", "grebe", "grouse", "gull", "hare", "hawk", "heron", "hornbill", "ibex", "ibis", "jackal", "jaguar", "kestrel", "kingfisher", "kite", "lapwing", "lark", "lemur", "leopard", "linnet", "lynx", "magpie", "marmot", "marten", "merlin", "moose", "narwhal", "newt", "ocelot", "orca", "osprey", "otter", "owl", "panda", "pelican", "penguin", "petrel", "pheasant", "plover", "puffin", "quail", "raven", "redshank", "robin", "sandpiper", "seal", "shrike", "skua", "snipe", "sparrow", "starling", "stoat", "stork", "swallow", "swan", "swift", "tapir", "teal", "tern", "thrush", "toucan", "turtle", "viper", "vole", "walrus", "weasel", "whale", "wigeon", "wolf", "wombat", "wren", "yak"]


def new_id() -> str:
    """Return a new id: 64 hexadecimal digits."""
    return secrets.token_hex(32)


def random_name() -> str:
    """Return a name for a container that was not given one: `quiet_heron`."""
    return f"{random.choice(_MOODS)}_{random.choice(_BEASTS)}{random.choice(['', random.randrange(10)])}"


def check(name: str) -> None:
    """Raise InvalidArgument with Docker's words when a container cannot have this name."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"Invalid container name ({name}), only {RULE} are allowed")
