"""Sending logs on: a shipper for each container of a remote log driver follows its file and sends what comes.

`drivers` makes the driver of a container: syslog, gelf, fluentd or journald, each a file. `shipper` follows the file,
keeps in a cursor what has arrived, and tries again what has not. `service` has the shippers of one daemon.
"""
