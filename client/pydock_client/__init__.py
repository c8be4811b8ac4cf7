"""pydock's client: the command line `pydock`, and `Client` for programs."""

__version__ = "0.1.0"
__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> object:
    """Import `Client` when it is asked for: the command line never needs it."""
    if name == "Client":
        from .sdk import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
