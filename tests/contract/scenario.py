"""One run through the API that has it answer with each of its shapes. Used by test_api_shapes.py, extract_fields.py."""

import contextlib
import json
import time
from typing import Any

from tests.fixtures.http import Answer, Api

NAME = "shape-of-things"

Answers = dict[str, Any]
"""The body of a good answer by the method and path of the reference: `GET /containers/{id}/json`."""


class Versioned(Api):
    """Requests that ask for the form of one version of the API."""

    def __init__(self, socket_path: str, version: str) -> None:
        super().__init__(socket_path)
        self.prefix = f"/v{version}" if version else ""

    def __call__(self, method: str, path: str, body: Any = None, *, timeout: float | None = 30, **query: Any) -> Answer:
        return super().__call__(method, self.prefix + path, body, timeout=timeout, **query)


def collect(api: Api, image: str = "busybox:latest") -> Answers:
    """Make a network, a volume and a container that uses both, ask for everything, and remove them again."""
    began = time.time()
    with contextlib.ExitStack() as stack:
        answers = _networks(api, stack) | _volumes(api, stack)
        answers |= _containers(api, stack, image) | _images(api, image)
        answers["GET /info"] = api.ok("GET", "/info")
        answers["GET /version"] = api.ok("GET", "/version")
    answers["GET /events"] = _events(api, began)
    return answers


def _networks(api: Api, stack: contextlib.ExitStack) -> Answers:
    body = {"Name": NAME, "Driver": "bridge", "Labels": {"shape": "network"}}
    answers = {"POST /networks/create": api.ok("POST", "/networks/create", body)}
    stack.callback(api.ok, "DELETE", f"/networks/{NAME}")
    return answers


def _volumes(api: Api, stack: contextlib.ExitStack) -> Answers:
    body = {"Name": NAME, "Labels": {"shape": "volume"}}
    answers = {"POST /volumes/create": api.ok("POST", "/volumes/create", body)}
    stack.callback(api.ok, "DELETE", f"/volumes/{NAME}")
    answers["GET /volumes/{name}"] = api.ok("GET", f"/volumes/{NAME}")
    answers["GET /volumes"] = api.ok("GET", "/volumes")
    return answers


def _containers(api: Api, stack: contextlib.ExitStack, image: str) -> Answers:
    body = {
        "Image": image,
        "Cmd": ["sleep", "60"],
        "Labels": {"shape": "container"},
        "ExposedPorts": {"80/tcp": {}, "81/udp": {}},
        "HostConfig": {
            "Binds": [f"{NAME}:/data"],
            "NetworkMode": NAME,
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1},
        },
    }
    answers = {"POST /containers/create": api.ok("POST", "/containers/create", body, name=NAME)}
    stack.callback(api.ok, "DELETE", f"/containers/{NAME}", force="1")
    api.ok("POST", f"/containers/{NAME}/start")
    answers["GET /containers/json"] = api.ok("GET", "/containers/json", filters={"name": [NAME]})
    answers["GET /containers/{id}/json"] = api.ok("GET", f"/containers/{NAME}/json")
    answers["GET /networks/{id}"] = api.ok("GET", f"/networks/{NAME}")
    answers["GET /networks"] = api.ok("GET", "/networks")
    exec_body = {"Cmd": ["true"], "AttachStdout": True}
    answers["POST /containers/{id}/exec"] = made = api.ok("POST", f"/containers/{NAME}/exec", exec_body)
    answers["GET /exec/{id}/json"] = api.ok("GET", f"/exec/{made['Id']}/json")
    api.ok("POST", f"/containers/{NAME}/kill")
    answers["POST /containers/{id}/wait"] = api.ok("POST", f"/containers/{NAME}/wait")
    return answers


def _images(api: Api, image: str) -> Answers:
    api.ok("POST", f"/images/{image}/tag", repo=NAME, tag="1")
    return {
        "GET /images/json": api.ok("GET", "/images/json", filters={"reference": [NAME]}),
        "GET /images/{name}/json": api.ok("GET", f"/images/{NAME}:1/json"),
        "GET /images/{name}/history": api.ok("GET", f"/images/{NAME}:1/history"),
        "DELETE /images/{name}": api.ok("DELETE", f"/images/{NAME}:1"),
    }


def _events(api: Api, began: float) -> list[Any]:
    until = f"{time.time():.6f}"
    text = api.ok("GET", "/events", since=f"{began:.6f}", until=until)
    if isinstance(text, dict):
        return [text]
    return [json.loads(line) for line in text.splitlines()]
