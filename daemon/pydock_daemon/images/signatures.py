"""Whether an image is signed by those who must have signed it, when it is pulled and when it is used.

The policy is the setting `signatures`: for a registry or repository `off`, `warn` or `require`, with keys. The rule of
the longest name counts, `*` is for all that have none. What a pull has found good is kept with the image; what a
container or a build may use of that, and of what was made here, is asked of these records alone. `inspect` shows them.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
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
create table if not exists images_made_here (
    image text primary key references images (id) on delete cascade
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


async def admit(policy: Mapping[str, SignatureRule], store: Store, image: str, refs: Sequence[Reference]) -> str:
    """Let an image that is here be used by one of its names, or by its id when there are none; return a warning.

    It must have been made here, or be signed by a key that its policy has today: a signature is about contents, so it
    holds by whichever name they came. Forbidden when it is not.
    """
    refusal = warning = ""
    names: list[Reference | None] = [*refs] or [None]
    for ref in names:
        name, rule = rule_for(policy, ref)
        if rule.mode == "off" or _is_made_here(store, image):
            return ""
        try:
            why = await asyncio.to_thread(_unknown, rule, _fingerprints(store, image))
        except PydockError as error:
            why = error.message
        if not why:
            return ""
        shown = ref.familiar() if ref else image
        if rule.mode == "warn":
            warning = f"{shown} is not signed as the policy of {name} wants it: {why}"
        else:
            refusal = f"{shown} is refused by the signature policy of {name}: {why}"
    if warning or not refusal:
        return warning
    raise Forbidden(refusal)


def _unknown(rule: SignatureRule, found: set[str]) -> str:
    """Return what is wrong with the keys by which an image was found to be signed, nothing when one of them is good."""
    if not found:
        return "no signature of it was found when it came here"
    if found & {cosign.load_key(path).fingerprint for path in rule.keys}:
        return ""
    return "it is signed by none of its keys of today"


def _fingerprints(store: Store, image: str) -> set[str]:
    rows = store.all("select fingerprint from image_signatures where image = ?", (image,))
    return {row["fingerprint"] for row in rows}


def _is_made_here(store: Store, image: str) -> bool:
    return bool(store.all("select 1 from images_made_here where image = ?", (image,)))


def made_here(store: Store, image: str) -> None:
    """Note that an image was made by this daemon, by a build or a commit."""
    with store.transaction() as db:
        db.execute("insert or ignore into images_made_here values (?)", (image,))


def rule_for(policy: Mapping[str, SignatureRule], ref: Reference | None) -> tuple[str, SignatureRule]:
    """Return the rule of a repository, with the name that it is for; for no repository the one for all."""
    name = ref.name if ref else ""
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
