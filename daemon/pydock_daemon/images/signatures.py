"""Whether an image that is pulled is signed by those who must have signed it. Used by `pull`, shown by `inspect`.

The policy is the setting `signatures`: for a registry or repository `off`, `warn` or `require`, with keys. The rule of
the longest name counts, `*` is for all that have none. What was found good is kept with the image.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydock_daemon.store import Store
from pydock_daemon.values import SignatureRule
from pydock_shared.errors import Forbidden, PydockError
from pydock_shared.reference import Reference
from pydock_shared.times import rfc3339

from . import cosign
from .cosign import Key, Signature
from .registry import Document, Repository

SCHEMA = """
create table if not exists image_signatures (
    image text not null references images (id) on delete cascade,
    repository text not null,
    digest text not null,
    fingerprint text not null,
    key_file text not null,
    verified integer not null,
    primary key (image, repository, digest, fingerprint)
);
"""


class Verdict(NamedTuple):
    """The keys by which a manifest is signed, and what there is to warn of."""

    keys: list[Key]
    warning: str = ""


async def check(policy: Mapping[str, SignatureRule], repository: Repository, ref: Reference, top: Document) -> Verdict:
    """Look for signatures of what a name stands for, if the policy wants any; Forbidden when it requires them."""
    name, rule = rule_for(policy, ref)
    if rule.mode == "off":
        return Verdict([])
    try:
        keys = await asyncio.to_thread(lambda: [cosign.load_key(path) for path in rule.keys])
        found = await cosign.signatures(repository, top.digest)
        good = await asyncio.to_thread(_good, keys, found, top.digest)
        why = "" if good else _why(found, top.digest)
    except PydockError as error:
        good, why = [], error.message
    if good:
        return Verdict(good)
    if rule.mode == "warn":
        return Verdict([], f"{ref.familiar()} is not signed as the policy of {name} wants it: {why}")
    raise Forbidden(f"{ref.familiar()} is refused by the signature policy of {name}: {why}")


def rule_for(policy: Mapping[str, SignatureRule], ref: Reference) -> tuple[str, SignatureRule]:
    """Return the rule of a repository, with the name that it is for."""
    name = ref.name
    while name not in policy and name:
        name = name.rpartition("/")[0]
    name = name or "*"
    return name, policy.get(name, SignatureRule())


def _good(keys: list[Key], found: list[Signature], digest: str) -> list[Key]:
    about = [one for one in found if one.names(digest)]
    return [key for key in keys if any(cosign.signed_by(key, one) for one in about)]


def _why(found: list[Signature], digest: str) -> str:
    if not found:
        return f"no signature of {digest} was found"
    if not any(one.names(digest) for one in found):
        return f"its signatures are of something else than {digest}"
    return f"no signature of {digest} is by one of its keys"


def keep(store: Store, image: str, ref: Reference, digest: str, keys: list[Key]) -> None:
    """Note by which keys an image was found to be signed."""
    with store.transaction() as db:
        for key in keys:
            values = (image, ref.name, digest, key.fingerprint, str(key.path), time.time_ns())
            db.execute("insert or replace into image_signatures values (?, ?, ?, ?, ?, ?)", values)


def shown(store: Store, image: str) -> list[dict[str, Any]]:
    """Return what is known of an image's signatures, as inspect shows it."""
    rows = store.all("select * from image_signatures where image = ? order by repository, verified", (image,))
    return [
        {
            "Repository": row["repository"],
            "Digest": row["digest"],
            "Key": row["key_file"],
            "Fingerprint": row["fingerprint"],
            "Verified": rfc3339(row["verified"]),
        }
        for row in rows
    ]
