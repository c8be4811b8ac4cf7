"""What containers use: stats and system df, and limits that change while they run."""

import json
import re
import time

import pytest
from tests.fixtures.cli import Cli
from tests.fixtures.engine import Engine, eventually
from tests.fixtures.http import Api, UnixConnection

BUSY = ("sh", "-c", "while :; do :; done")


def share(stats: dict) -> float:
    now, before = stats["cpu_stats"], stats["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    return used / (now["system_cpu_usage"] - before["system_cpu_usage"]) * now["online_cpus"]


def test_one_answer_has_a_share_of_the_cpu(cli: Cli, api: Api):
    cli("run", "-d", "--name", "busy", "--cpus", "0.5", "-m", "64m", "busybox", *BUSY)
    eventually(lambda: 0.2 < share(api.ok("GET", "/containers/busy/stats", stream="false")) < 0.8)
    stats = api.ok("GET", "/containers/busy/stats", stream="false")
    assert stats["memory_stats"]["limit"] == 64 << 20
    assert 0 < stats["memory_stats"]["usage"] < 64 << 20
    assert stats["pids_stats"]["current"] == 1
    assert stats["networks"]["eth0"]["rx_bytes"] >= 0
    assert stats["name"] == "/busy"
    assert stats["cpu_stats"]["throttling_data"]["periods"] > 0
    first = api.ok("GET", "/containers/busy/stats", stream="false", **{"one-shot": "true"})
    assert first["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert first["preread"] == "0001-01-01T00:00:00Z"


def test_the_network_is_counted(cli: Cli, api: Api):
    cli("run", "-d", "--name", "web", "busybox", "sleep", "100")
    before = api.ok("GET", "/containers/web/stats", stream="false")["networks"]["eth0"]
    cli("exec", "web", "sh", "-c", "ping -c 2 -i 0.1 -s 1000 $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')")
    after = api.ok("GET", "/containers/web/stats", stream="false")["networks"]["eth0"]
    assert after["tx_bytes"] - before["tx_bytes"] >= 2000
    assert after["rx_packets"] - before["rx_packets"] >= 2


def test_a_stream_goes_on_after_the_end_and_ends_with_the_container(cli: Cli, daemon: Engine):
    cli("run", "-d", "--name", "short", "busybox", "sleep", "100")
    connection = UnixConnection(daemon.socket)
    connection.request("GET", "/containers/short/stats")
    lines = connection.getresponse()
    first, second = json.loads(lines.readline()), json.loads(lines.readline())
    assert first["read"] < second["read"]
    assert second["preread"] == first["read"]
    cli("kill", "short")
    while json.loads(lines.readline())["pids_stats"]:
        pass
    cli("rm", "short")
    while lines.readline():
        pass
    connection.close()


def test_one_that_does_not_run_has_zeroes(cli: Cli, api: Api):
    cli("create", "--name", "still", "busybox", "true")
    stats = api.ok("GET", "/containers/still/stats", stream="false")
    assert (stats["pids_stats"], stats["memory_stats"]) == ({}, {})
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert "networks" not in stats
    both = api("GET", "/containers/still/stats", stream="true", **{"one-shot": "true"})
    assert (both.status, both.body["message"]) == (400, "cannot have stream=true and one-shot=true")
    assert api("GET", "/containers/none/stats").status == 404


def test_the_command_shows_them(cli: Cli):
    cli("run", "-d", "--name", "one", "-m", "32m", "busybox", *BUSY)
    cli("run", "-d", "--name", "two", "busybox", "sleep", "100")
    time.sleep(0.3)
    rows = cli("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}").splitlines()
    found = {row.split()[0]: row.split()[1:] for row in rows}
    assert float(found["one"][0].rstrip("%")) > 2  # a machine that has much else to do gives it no more
    assert re.fullmatch(r"[0-9.]+(KiB|MiB)", found["one"][1])
    assert found["one"][3:] == ["32MiB", "1"]
    assert cli("stats", "--no-stream", "--format", "{{.Container}}", "two") == "two"
    cli.fails("stats", "--no-stream", "none", code=1, message="No such container: none")


def test_many_in_one_answer(api: Api, cli: Cli, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("an extension")
    cli("run", "-d", "--name", "one", "busybox", "sleep", "100")
    cli("create", "--name", "two", "busybox", "true")
    assert [stats["name"] for stats in api.ok("GET", "/containers/stats")] == ["/one"]
    assert [stats["name"] for stats in api.ok("GET", "/containers/stats", all="1")] == ["/two", "/one"]
    assert [stats["name"] for stats in api.ok("GET", "/containers/stats", containers="two,one")] == ["/two", "/one"]
    assert api("GET", "/containers/stats", containers="none").status == 404


def test_limits_change_while_it_runs(cli: Cli, api: Api):
    cli("run", "-d", "--name", "web", "-m", "64m", "busybox", "sleep", "100")
    cli("update", "-m", "100m", "--memory-swap", "200m", "--cpus", "0.5", "--pids-limit", "77", "web")
    shown = json.loads(cli("inspect", "-f", "{{json .HostConfig}}", "web"))
    assert (shown["Memory"], shown["MemorySwap"]) == (100 << 20, 200 << 20)
    assert (shown["NanoCpus"], shown["PidsLimit"]) == (500_000_000, 77)
    assert api.ok("GET", "/containers/web/stats", stream="false")["memory_stats"]["limit"] == 100 << 20
    inside = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true"
    assert cli("exec", "web", "sh", "-c", inside) == "77"
    cli("update", "--restart", "on-failure:3", "web")
    policy = cli(
        "inspect", "-f", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}", "web"
    )
    assert policy == "on-failure 3"


def test_limits_of_one_that_does_not_run_hold_from_its_start(cli: Cli):
    cli("create", "--name", "later", "busybox", "sh", "-c", "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max")
    cli("update", "--pids-limit", "55", "later")
    assert "55" in cli.result("start", "-a", "later").stdout


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"Memory": 256 << 20}, 409, "Memory limit should be smaller than already set memoryswap limit"),
        ({"Memory": 1000}, 400, "Minimum memory limit allowed is 6MB"),
        ({"CpuPeriod": 50000}, 409, "CPU Period cannot be updated as NanoCPUs has already been set"),
        ({"RestartPolicy": {"Name": "bad"}}, 400, "invalid restart policy: unknown policy 'bad'"),
        ({"CpusetCpus": "7777"}, 400, "Requested CPUs are not available - requested 7777"),
        ({"Memory": "x"}, 400, ""),
    ],
)
def test_what_cannot_be_updated_is_refused(cli: Cli, api: Api, body: dict, status: int, message: str):
    cli("run", "-d", "--name", "web", "-m", "64m", "--cpus", "1", "busybox", "sleep", "100")
    answer = api("POST", "/containers/web/update", body)
    assert answer.status == status
    assert message in answer.body["message"]


def test_the_environment_of_one_that_does_not_run(cli: Cli, api: Api, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("an extension")
    cli("create", "--name", "later", "-e", "A=1", "busybox", "sh", "-c", "echo $A $B")
    api.ok("POST", "/containers/later/update", {"Env": ["A=2", "B=3"]})
    assert cli("start", "-a", "later") == "2 3"
    cli("run", "-d", "--name", "web", "busybox", "sleep", "100")
    assert api("POST", "/containers/web/update", {"Env": ["A=2"]}).status == 409
    assert api("POST", "/containers/later/update", {"Env": ["=2"]}).status == 400


def test_disk_usage(cli: Cli, api: Api):
    cli(
        "run",
        "--name",
        "writer",
        "-v",
        "data:/data",
        "busybox",
        "sh",
        "-c",
        "head -c 3000000 /dev/zero | tee /data/x >/y",
    )
    usage = api.ok("GET", "/v1.45/system/df")
    (container,) = [item for item in usage["Containers"] if item["Names"] == ["/writer"]]
    (volume,) = [item for item in usage["Volumes"] if item["Name"] == "data"]
    assert container["SizeRw"] >= 3_000_000
    assert volume["UsageData"]["RefCount"] == 1
    assert volume["UsageData"]["Size"] >= 3_000_000
    assert usage["LayersSize"] >= max(image["Size"] for image in usage["Images"])
    assert usage["BuildCache"] is not None
    assert list(api.ok("GET", "/v1.45/system/df?type=volume")) in (
        ["Volumes"],
        ["LayersSize", "Images", "Containers", "Volumes", "BuildCache"],
    )
    rows = cli("system", "df", "--format", "{{.Type}}: {{.TotalCount}} {{.Active}}").splitlines()
    assert rows[1] == "Containers: 1 0"
    assert rows[2] == "Local Volumes: 1 1"
    assert "data" in cli("system", "df", "-v")


def test_an_image_is_one_row_of_the_disk_usage(docker: Cli, pydock: Cli):
    docker("tag", "busybox", "another:1")
    try:
        shown = [cli("system", "df", "-v").partition("Containers space usage")[0] for cli in (docker, pydock)]
    finally:
        docker("rmi", "another:1")
    # without the times, which differ by a second now and then
    rows = [sorted((*row.split()[:3], *row.split()[-4:]) for row in text.splitlines()) for text in shown]
    assert rows[0] == rows[1]
    assert sum(row[:1] in (("another",), ("busybox",)) for row in rows[0]) == 1


def test_disk_usage_of_the_newest_api(cli: Cli, api: Api, daemon: Engine):
    if not isinstance(daemon, Engine):
        pytest.skip("newer than the engine")
    cli("create", "--name", "idle", "-v", "data:/data", "busybox", "true")
    usage = api.ok("GET", "/v1.55/system/df")
    assert set(usage) == {"ImageUsage", "ContainerUsage", "VolumeUsage", "BuildCacheUsage"}
    assert usage["ContainerUsage"]["TotalCount"] == 1
    assert usage["ContainerUsage"]["ActiveCount"] == 0
    assert usage["VolumeUsage"]["ActiveCount"] == 1
    assert "Items" not in usage["ImageUsage"]
    images = api.ok("GET", "/v1.55/system/df", verbose="1")["ImageUsage"]["Items"]
    assert ["busybox:latest"] in [image["RepoTags"] for image in images]
    assert api("GET", "/system/df?type=nothing").status == 400
