"""What a log driver knows of its container: Docker's logger.Info, its attributes and its tag. Used by settings,
shipping and the API's `details`.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote_plus

from pydock_daemon.containers.model import Container
from pydock_shared.errors import InvalidArgument
from pydock_shared.template import Template, TemplateError

DEFAULT_TAG = "{{.ID}}"
DAEMON_NAME = "docker"
"""What `{{.DaemonName}}` gives: tags are read by programs that know dockerd's."""
_HTML = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class Info:
    """The fields that a tag can name, and what attributes are chosen from."""

    options: dict[str, str]
    id: str
    name: str
    image_id: str
    image_name: str
    created: int
    command: str
    env: dict[str, str]
    labels: dict[str, str]

    def attributes(self, rename: Callable[[str], str] = lambda key: key) -> dict[str, str]:
        """Return the labels and variables that `labels`, `env` and their regular expressions choose."""
        chosen: dict[str, str] = {}
        for option, values in (("labels", self.labels), ("env", self.env)):
            for key in (self.options.get(option) or "").split(","):
                if key in values:
                    chosen[rename(key)] = values[key]
            pattern = self.options.get(f"{option}-regex")
            if pattern:
                fits = _compiled(pattern)
                chosen |= {rename(key): value for key, value in values.items() if fits.search(key)}
        return chosen

    def tag(self, default: str = DEFAULT_TAG) -> str:
        """Return the text of the option `tag`; InvalidArgument in Go's words for a template that does not fit."""
        source = self.options.get("tag") or default
        try:
            return Template(source).render(self._fields())
        except TemplateError as error:
            raise InvalidArgument(_in_go(str(error))) from error

    def _fields(self) -> dict[str, object]:
        return {
            "ID": self.id[:12],
            "FullID": self.id,
            "Name": self.name,
            "ImageID": self.image_id[:12],
            "ImageFullID": self.image_id,
            "ImageName": self.image_name,
            "Command": self.command,
            "Hostname": os.uname().nodename,
            "DaemonName": DAEMON_NAME,
            "ContainerID": self.id,
            "ContainerName": f"/{self.name}",
            "ContainerImageID": self.image_id,
            "ContainerImageName": self.image_name,
            "ContainerLabels": self.labels,
            "ContainerEnv": [f"{key}={value}" for key, value in self.env.items()],
            "Config": self.options,
        }


def _in_go(text: str) -> str:
    """Return an error of a template as Go says it of one with a name, over a struct."""
    text = text.replace("template: :", "template: log-tag:").replace('executing ""', 'executing "log-tag"')
    place, missing, name = text.partition('map has no entry for key "')
    return f"{place}can't evaluate field {name[:-1]} in type *logger.Info" if missing else text


def of(container: Container, environment: list[str]) -> Info:
    """Return what a driver knows of a container; `environment` is that of its main process."""
    log, config = container.host.log_config, container.config
    return Info(
        options=dict(log.config or {}) if log else {},
        id=container.id,
        name=container.name,
        image_id=container.image,
        image_name=container.image_name,
        created=container.created,
        command=" ".join([*(config.entrypoint or ()), *(config.cmd or ())]),
        env=dict(entry.split("=", 1) for entry in environment if "=" in entry),
        labels=dict(config.labels or {}),
    )


def kept(info: Info) -> dict[str, str]:
    """Return the attributes that `json-file` and `local` keep: a tag only when one is asked for."""
    return info.attributes() | ({"tag": info.tag()} if info.options.get("tag") else {})


def go_json(value: object) -> str:
    """Return JSON as Go's encoder writes it: sorted, and with its escapes of what HTML could read otherwise."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).translate(_HTML)


def details(attributes: dict[str, str]) -> bytes:
    """Return what `logs --details` puts before a line: `key=value,...` and a space."""
    pairs = sorted(f"{quote_plus(key)}={quote_plus(value)}" for key, value in attributes.items())
    return ",".join(pairs).encode() + b" "


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidArgument(f"error parsing regexp: {error.msg}: `{pattern}`") from error
