"""Devices that vendors describe in files (CDI): `--device vendor.com/class=name`.

    files   the files: what they may say, which devices they name
    edits   what a device changes of a container's OCI configuration

https://github.com/cncf-tags/container-device-interface, SPEC.md, versions 0.3 to 1.0. Files are read at every use: a
vendor writes them when its driver is loaded.
"""
