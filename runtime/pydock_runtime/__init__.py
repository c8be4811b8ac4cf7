"""The OCI runtime and the supervisor: standard library and ctypes only."""

__version__ = "0.1.0"
