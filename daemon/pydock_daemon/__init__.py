"""pydockd: the asyncio daemon that serves the Docker REST API."""
