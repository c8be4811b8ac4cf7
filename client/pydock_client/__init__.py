"""pydock: the command line."""
