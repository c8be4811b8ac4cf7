"""The OCI runtime and the supervisor: standard library and ctypes only."""
