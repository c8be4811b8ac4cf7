"""Bodies of the container endpoints: create and update. Used by the daemon."""

from . import Bool, Int, Names, Pair, Table, Texts, Unsigned, Wire, Words


class HealthConfig(Wire):
    """How health is probed; times in nanoseconds."""

    test: Texts | None = None
    interval: Int | None = None
    timeout: Int | None = None
    retries: Int | None = None
    start_period: Int | None = None
    start_interval: Int | None = None


class ContainerConfig(Wire):
    """What does not depend on the host; also the `config` of an image."""

    hostname: str | None = None
    domainname: str | None = None
    user: str | None = None
    attach_stdin: Bool | None = None
    attach_stdout: Bool | None = None
    attach_stderr: Bool | None = None
    exposed_ports: Names | None = None
    tty: Bool | None = None
    open_stdin: Bool | None = None
    stdin_once: Bool | None = None
    env: Texts | None = None
    cmd: Words | None = None
    healthcheck: HealthConfig | None = None
    args_escaped: Bool | None = None
    image: str | None = None
    volumes: Names | None = None
    working_dir: str | None = None
    entrypoint: Words | None = None
    network_disabled: Bool | None = None
    mac_address: str | None = None
    on_build: Texts | None = None
    labels: Table | None = None
    stop_signal: str | None = None
    stop_timeout: Int | None = None
    shell: Words | None = None


class LogConfig(Wire):
    """Log driver and its options."""

    type: str | None = None
    config: Table | None = None


class RestartPolicy(Wire):
    """When the engine starts a container again."""

    name: str | None = None
    maximum_retry_count: Int | None = None


class PortBinding(Wire):
    """The host's side of a published port; empty texts leave the choice to the engine."""

    host_ip: str | None = None
    host_port: str | None = None


class Ulimit(Wire):
    """A resource limit of the processes inside."""

    name: str
    soft: Int = 0
    hard: Int = 0


class DeviceMapping(Wire):
    """A device node of the host."""

    path_on_host: str | None = None
    path_in_container: str | None = None
    cgroup_permissions: str | None = None


class ThrottleDevice(Wire):
    """A limit for one block device."""

    path: str
    rate: Unsigned = 0


class WeightDevice(Wire):
    """A weight for one block device."""

    path: str
    weight: Unsigned = 0


class DeviceRequest(Wire):
    """A request to a device driver, such as for GPUs."""

    driver: str | None = None
    count: Int | None = None
    device_ids: Texts | None = None
    capabilities: list[Texts] | None = None
    options: Table | None = None


class BindOptions(Wire):
    """Options of a mount of type bind."""

    propagation: str | None = None
    non_recursive: Bool | None = None
    create_mountpoint: Bool | None = None
    read_only_non_recursive: Bool | None = None
    read_only_force_recursive: Bool | None = None


class DriverConfig(Wire):
    """Driver of a volume and its options."""

    name: str | None = None
    options: Table | None = None


class VolumeOptions(Wire):
    """Options of a mount of type volume."""

    no_copy: Bool | None = None
    labels: Table | None = None
    driver_config: DriverConfig | None = None
    subpath: str | None = None


class ImageOptions(Wire):
    """Options of a mount of type image."""

    subpath: str | None = None


class TmpfsOptions(Wire):
    """Options of a mount of type tmpfs; `options` are texts for mount(8), each alone or with a value."""

    size_bytes: Int | None = None
    mode: Int | None = None
    options: list[Texts] | None = None


class Mount(Wire):
    """An entry of HostConfig.Mounts."""

    type: str | None = None
    target: str | None = None
    source: str | None = None
    read_only: Bool | None = None
    consistency: str | None = None
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    cluster_options: Names | None = None


class Resources(Wire):
    """Limits; the part of HostConfig that `update` changes as well."""

    cpu_shares: Int | None = None
    memory: Int | None = None
    cgroup_parent: str | None = None
    blkio_weight: Int | None = None
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = None
    blkio_device_write_iops: list[ThrottleDevice] | None = None
    cpu_period: Int | None = None
    cpu_quota: Int | None = None
    cpu_realtime_period: Int | None = None
    cpu_realtime_runtime: Int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: Texts | None = None
    device_requests: list[DeviceRequest] | None = None
    kernel_memory: Int | None = None
    kernel_memory_tcp: Int | None = None
    memory_reservation: Int | None = None
    memory_swap: Int | None = None
    memory_swappiness: Int | None = None
    nano_cpus: Int | None = None
    oom_kill_disable: Bool | None = None
    init: Bool | None = None
    pids_limit: Int | None = None
    ulimits: list[Ulimit] | None = None
    cpu_count: Int | None = None
    cpu_percent: Int | None = None
    io_maximum_iops: Int | None = None
    io_maximum_bandwidth: Int | None = None


class HostConfig(Resources):
    """What depends on the host."""

    binds: Texts | None = None
    container_id_file: str | None = None
    log_config: LogConfig | None = None
    network_mode: str | None = None
    port_bindings: dict[str, list[PortBinding] | None] | None = None
    restart_policy: RestartPolicy | None = None
    auto_remove: Bool | None = None
    volume_driver: str | None = None
    volumes_from: Texts | None = None
    mounts: list[Mount] | None = None
    console_size: Pair | None = None
    annotations: Table | None = None
    cap_add: Words | None = None
    cap_drop: Words | None = None
    cgroupns_mode: str | None = None
    dns: Texts | None = None
    dns_options: Texts | None = None
    dns_search: Texts | None = None
    extra_hosts: Texts | None = None
    group_add: Texts | None = None
    ipc_mode: str | None = None
    cgroup: str | None = None
    links: Texts | None = None
    oom_score_adj: Int | None = None
    pid_mode: str | None = None
    privileged: Bool | None = None
    publish_all_ports: Bool | None = None
    readonly_rootfs: Bool | None = None
    security_opt: Texts | None = None
    storage_opt: Table | None = None
    tmpfs: Table | None = None
    uts_mode: str | None = None
    userns_mode: str | None = None
    shm_size: Int | None = None
    sysctls: Table | None = None
    runtime: str | None = None
    isolation: str | None = None
    masked_paths: Texts | None = None
    readonly_paths: Texts | None = None


class EndpointIPAMConfig(Wire):
    """Addresses asked for."""

    ipv4_address: str | None = None
    ipv6_address: str | None = None
    link_local_ips: Texts | None = None


class EndpointSettings(Wire):
    """What is asked of one network of a container."""

    ipam_config: EndpointIPAMConfig | None = None
    links: Texts | None = None
    mac_address: str | None = None
    aliases: Texts | None = None
    driver_opts: Table | None = None
    gw_priority: Int | None = None
    network_id: str | None = None
    endpoint_id: str | None = None
    gateway: str | None = None
    ip_address: str | None = None
    ip_prefix_len: Int | None = None
    ipv6_gateway: str | None = None
    global_ipv6_address: str | None = None
    global_ipv6_prefix_len: Int | None = None
    dns_names: Texts | None = None


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
    """The body of `POST /containers/{id}/update`; `Env`, of a container that does not run, is an extension."""

    env: Texts | None = None
    restart_policy: RestartPolicy | None = None


class CreateCheckpoint(Wire):
    """The body of `POST /containers/{id}/checkpoints`."""

    checkpoint_id: str | None = None
    checkpoint_dir: str | None = None
    exit: Bool | None = None
