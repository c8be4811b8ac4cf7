"""TLS on tcp sockets, in a process of its own.

    settings  the certificates that the settings name, checked and ready
    relay     the process: accepts, shakes hands, and moves bytes between a client and the daemon
    front     the daemon's side: starts that process and takes in the connections that it sends

What a client sends is decrypted where there are no rights and no secrets but the key. Attached clients stay attached
when the daemon ends, as those without TLS do.
"""
