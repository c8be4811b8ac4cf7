"""The container's root: from a spec and a snapshot to a finished tree of mounts."""
