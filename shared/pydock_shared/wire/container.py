"""Bodies of the container endpoints: create and update. Used by the daemon."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from . import Wire


def _words(value: Any) -> Any:
    """Accept a command given as one text, as Docker's API does."""
    return [value] if isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_words)]
Labels = dict[str, str]
Empty = dict[str, Any]


class HealthConfig(Wire):
    """How health is probed; times in nanoseconds."""

    test: list[str] | None = None
    interval: int | None = None
    timeout: int | None = None
    retries: int | None = None
    start_period: int | None = None
    start_interval: int | None = None


class ContainerConfig(Wire):
    """What does not depend on the host; also the `config` of an image."""

    hostname: str | None = None
    domainname: str | None = None
    user: str | None = None
    attach_stdin: bool | None = None
    attach_stdout: bool | None = None
    attach_stderr: bool | None = None
    exposed_ports: dict[str, Empty] | None = None
    tty: bool | None = None
    open_stdin: bool | None = None
    stdin_once: bool | None = None
    env: list[str] | None = None
    cmd: Words | None = None
    healthcheck: HealthConfig | None = None
    args_escaped: bool | None = None
    image: str | None = None
    volumes: dict[str, Empty] | None = None
    working_dir: str | None = None
    entrypoint: Words | None = None
    network_disabled: bool | None = None
    mac_address: str | None = None
    on_build: list[str] | None = None
    labels: Labels | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    shell: list[str] | None = None


class LogConfig(Wire):
    """Log driver and its options."""

    type: str | None = None
    config: dict[str, str] | None = None


class RestartPolicy(Wire):
    """When the engine starts a container again."""

    name: str | None = None
    maximum_retry_count: int | None = None


class PortBinding(Wire):
    """The host's side of a published port; empty texts leave the choice to the engine."""

    host_ip: str | None = None
    host_port: str | None = None


class Ulimit(Wire):
    """A resource limit of the processes inside."""

    name: str
    soft: int
    hard: int


class DeviceMapping(Wire):
    """A device node of the host."""

    path_on_host: str | None = None
    path_in_container: str | None = None
    cgroup_permissions: str | None = None


class ThrottleDevice(Wire):
    """A limit for one block device."""

    path: str
    rate: int


class WeightDevice(Wire):
    """A weight for one block device."""

    path: str
    weight: int


class DeviceRequest(Wire):
    """A request to a device driver, such as for GPUs."""

    driver: str | None = None
    count: int | None = None
    device_ids: list[str] | None = None
    capabilities: list[list[str]] | None = None
    options: dict[str, str] | None = None


class Mount(Wire):
    """An entry of HostConfig.Mounts."""

    type: str | None = None
    target: str | None = None
    source: str | None = None
    read_only: bool | None = None
    consistency: str | None = None
    bind_options: dict[str, Any] | None = None
    volume_options: dict[str, Any] | None = None
    image_options: dict[str, Any] | None = None
    tmpfs_options: dict[str, Any] | None = None


class Resources(Wire):
    """Limits; the part of HostConfig that `update` changes as well."""

    cpu_shares: int | None = None
    memory: int | None = None
    cgroup_parent: str | None = None
    blkio_weight: int | None = None
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = None
    blkio_device_write_iops: list[ThrottleDevice] | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpu_realtime_period: int | None = None
    cpu_realtime_runtime: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: list[str] | None = None
    device_requests: list[DeviceRequest] | None = None
    kernel_memory: int | None = None
    kernel_memory_tcp: int | None = None
    memory_reservation: int | None = None
    memory_swap: int | None = None
    memory_swappiness: int | None = None
    nano_cpus: int | None = None
    oom_kill_disable: bool | None = None
    init: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] | None = None
    cpu_count: int | None = None
    cpu_percent: int | None = None
    io_maximum_iops: int | None = None
    io_maximum_bandwidth: int | None = None


class HostConfig(Resources):
    """What depends on the host."""

    binds: list[str] | None = None
    container_id_file: str | None = None
    log_config: LogConfig | None = None
    network_mode: str | None = None
    port_bindings: dict[str, list[PortBinding] | None] | None = None
    restart_policy: RestartPolicy | None = None
    auto_remove: bool | None = None
    volume_driver: str | None = None
    volumes_from: list[str] | None = None
    mounts: list[Mount] | None = None
    console_size: list[int] | None = None
    annotations: dict[str, str] | None = None
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    cgroupns_mode: str | None = None
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    extra_hosts: list[str] | None = None
    group_add: list[str] | None = None
    ipc_mode: str | None = None
    cgroup: str | None = None
    links: list[str] | None = None
    oom_score_adj: int | None = None
    pid_mode: str | None = None
    privileged: bool | None = None
    publish_all_ports: bool | None = None
    readonly_rootfs: bool | None = None
    security_opt: list[str] | None = None
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str | None = None
    userns_mode: str | None = None
    shm_size: int | None = None
    sysctls: dict[str, str] | None = None
    runtime: str | None = None
    isolation: str | None = None
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None


class EndpointIPAMConfig(Wire):
    """Addresses asked for."""

    ipv4_address: str | None = None
    ipv6_address: str | None = None
    link_local_ips: list[str] | None = None


class EndpointSettings(Wire):
    """What is asked of one network of a container."""

    ipam_config: EndpointIPAMConfig | None = None
    links: list[str] | None = None
    mac_address: str | None = None
    aliases: list[str] | None = None
    driver_opts: dict[str, str] | None = None
    gw_priority: int | None = None
    network_id: str | None = None
    endpoint_id: str | None = None
    gateway: str | None = None
    ip_address: str | None = None
    ip_prefix_len: int | None = None
    ipv6_gateway: str | None = None
    global_ipv6_address: str | None = None
    global_ipv6_prefix_len: int | None = None
    dns_names: list[str] | None = None


class NetworkingConfig(Wire):
    """The networks of a new container."""

    endpoints_config: dict[str, EndpointSettings | None] | None = None


class CreateContainer(ContainerConfig):
    """The body of `POST /containers/create`."""

    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None

    def config(self) -> ContainerConfig:
        """Return the part that is the container's configuration."""
        own = ContainerConfig.model_fields
        return ContainerConfig.model_validate({name: getattr(self, name) for name in own})


class UpdateContainer(Resources):
    """The body of `POST /containers/{id}/update`."""

    restart_policy: RestartPolicy | None = None
