"""Checkpoint and restore by the program criu, which does the work: what is asked of it, and how it is talked to.

Used by the verbs `checkpoint` and `restore` and by the supervisor. criu is not part of this engine; it may be missing.
"""
