"""The syntax of links: `--link web:db`, and what inspect shows of them, `/web:/app/db`. Used by the daemon."""

from .errors import InvalidArgument


def parse(text: str) -> tuple[str, str]:
    """Return the name of the other container and its name for this one; InvalidArgument with Docker's words."""
    if not text:
        raise InvalidArgument("empty string specified for links")
    name, _, alias = text.partition(":")
    if not name or ":" in alias:
        raise InvalidArgument(f"bad format for links: {text}")
    if name.startswith("/"):
        return name[1:], alias.rpartition("/")[2] or name[1:]
    return name, alias or name
