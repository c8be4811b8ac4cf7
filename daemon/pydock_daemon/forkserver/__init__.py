"""Children of the daemon that work on files of containers and layers, forked from one that has loaded their programs.

    client  the daemon's side: starts the server when it is wanted and asks it for children
    server  the server's side: its program and what a child is before its own program begins

A fork takes a millisecond where the start of an interpreter takes thirty. The server reads nothing but the name of a
program and descriptors; what comes from outside is read by the children, who confine themselves first.
"""
