"""pydockd: the asyncio daemon that serves the Docker REST API."""

__version__ = "0.1.0"
