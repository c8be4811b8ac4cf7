"""What a config.json may not say."""

import json
from pathlib import Path
from typing import Any

import pytest

from pydock_runtime import spec
from pydock_runtime.errors import RuntimeFailure


@pytest.mark.parametrize("path", spec.UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(path: str) -> None:
    wanted: dict[str, Any] = {"process": {}}
    *above, last = path.split(".")
    place = wanted
    for key in above:
        place = place.setdefault(key, {})
    place[last] = {"something": True}
    with pytest.raises(RuntimeFailure, match=f"^{path} is not supported$"):
        spec.check(wanted)
    # Empty, as many tools write it, it says nothing.
    place[last] = {"something": []}
    spec.check(wanted)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "config.json not found in"),
        ("{", "config.json: Expecting property name"),
        ("[]", "config.json: not an object"),
        (json.dumps({"ociVersion": "1.2.0", "root": {}}), "config.json: process is missing"),
    ],
)
def test_a_bundle_without_a_spec_is_told(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(RuntimeFailure, match=message):
        spec.load(str(tmp_path))
