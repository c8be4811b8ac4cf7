"""`POST /build?version=2`: the same build asked for by a request, as docker's command line did before it had buildx.

From the parameters to the attributes of the frontend. Source: builder/builder-next/builder.go of moby. Used by
`api.buildkit`; pure.
"""

import json
from typing import Any

from multidict import MultiMapping

from pydock_shared.errors import InvalidArgument, NotSupported

from .messages import make

HERE = "client-session"
"""The value of `remote` that means: the folder that the session gives."""
UPLOADED = "upload-request"
"""The value of `remote` that means: the body of another request, whose build id begins with this."""
REFUSED = ("squash", "isolation", "memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "cpusetcpus", "cpusetmems",
           "securityopt")  # fmt: skip
EMPTY = ("", "0", "false", "null", "[]", "{}", "default")


def solve(query: MultiMapping[str], ref: str) -> Any:
    """Return the Solve that a request asks for. InvalidArgument, NotSupported: a parameter is wrong, or is refused."""
    for name in REFUSED:
        if query.get(name, "").lower() not in EMPTY:
            raise NotSupported(f"the build parameter {name} is not supported by this protocol")
    request = make("Solve", Ref=ref, Session=query.get("session", ""), Frontend="dockerfile.v0",
                   FrontendAttrs=attributes(query))  # fmt: skip
    for image in _json(query, "cachefrom", list):
        request.Cache.Imports.add(Type="registry", Attrs={"ref": str(image)})
    names = ",".join(name for name in query.getall("t", []) if name)
    outputs = _json(query, "outputs", list) or [{"Type": "moby"}]
    for output in outputs:
        if not isinstance(output, dict):
            raise InvalidArgument("error reading outputs: needs a list of objects")
        kind, attrs = str(output.get("Type", "")), dict(output.get("Attrs") or {})
        kind = "moby" if kind == "image" else kind
        request.Exporters.add(Type=kind, Attrs=attrs | ({"name": names} if names and kind == "moby" else {}))
    return request


def attributes(query: MultiMapping[str]) -> dict[str, str]:
    """Return the attributes of the frontend."""
    found = {name: query[key] for key, name in _NAMES.items() if query.get(key, "0") not in ("", "0")}
    found["filename"] = query.get("dockerfile") or "Dockerfile"
    found["image-resolve-mode"] = "pull" if _on(query, "pull") else "default"
    if _on(query, "nocache"):
        found["no-cache"] = ""
    if query.get("remote", "") not in ("", HERE, UPLOADED):
        found["context"] = query["remote"]
    found |= {
        f"build-arg:{name}": value for name, value in _json(query, "buildargs", dict).items() if value is not None
    }
    found |= {f"label:{name}": value or "" for name, value in _json(query, "labels", dict).items()}
    hosts = [text.replace(":", "=", 1) for text in query.getall("extrahosts", []) if text]
    found |= {"add-hosts": ",".join(hosts)} if hosts else {}
    limits = _json(query, "ulimits", list)
    if limits:
        found["ulimit"] = ",".join(f"{one.get('Name')}={one.get('Soft')}:{one.get('Hard')}" for one in limits)
    return found


_NAMES = {"target": "target", "platform": "platform", "networkmode": "force-network-mode", "shmsize": "shm-size",
          "cgroupparent": "cgroup-parent"}  # fmt: skip


def _on(query: MultiMapping[str], name: str) -> bool:
    return query.get(name, "").lower() not in ("", "0", "no", "false", "none")


def _json(query: MultiMapping[str], name: str, kind: type) -> Any:
    """Return a parameter that is JSON, an empty one when it is not there."""
    try:
        found = json.loads(query.get(name) or "null")
    except ValueError as error:
        raise InvalidArgument(f"error reading {name}: {error}") from error
    if found is not None and not isinstance(found, kind):
        raise InvalidArgument(f"error reading {name}: it is of the wrong kind")
    return found or kind()
