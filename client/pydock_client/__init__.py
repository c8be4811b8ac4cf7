"""pydock's client: the command line `pydock`, and `Client` for programs."""

__version__ = "0.1.0"
__all__ = ["Client", "Tls", "__version__"]


def __getattr__(name: str) -> object:
    """Import what programs use when it is asked for: the command line never needs it."""
    if name in ("Client", "Tls"):
        from . import sdk

        return getattr(sdk, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
