"""Volumes, binds and tmpfs: what is shared, what is read-only, what a missing source means, what is left afterwards."""

from pathlib import Path

from tests.fixtures.cli import Cli

from pydock_runtime import abi, linux


def test_named_volume_is_shared_and_outlives_containers(cli: Cli):
    cli("run", "--rm", "-v", "data:/x", "busybox", "sh", "-c", "echo kept >/x/file")
    assert cli("run", "--rm", "-v", "data:/y:ro", "busybox", "cat", "/y/file") == "kept"
    assert cli("volume", "ls", "-q") == "data"
    mountpoint = cli("volume", "inspect", "-f", "{{.Mountpoint}}", "data")
    assert (Path(mountpoint) / "file").read_text() == "kept\n"


def test_new_volume_gets_what_the_image_has_there(cli: Cli):
    assert "root:x:0:0" in cli("run", "--rm", "-v", "etc:/etc", "busybox", "cat", "/etc/passwd")
    assert "root:x:0:0" in cli("run", "--rm", "-v", "etc:/other", "busybox", "cat", "/other/passwd")


def test_nocopy(cli: Cli):
    script = "test ! -e /etc/passwd && echo empty"
    assert cli("run", "--rm", "-v", "bare:/etc:nocopy", "busybox", "sh", "-c", script) == "empty"


def test_bind(cli: Cli, tmp_path: Path):
    (tmp_path / "in").write_text("from the host")
    script = "cat /x/in; echo from inside >/x/out"
    assert cli("run", "--rm", "-v", f"{tmp_path}:/x", "busybox", "sh", "-c", script) == "from the host"
    assert (tmp_path / "out").read_text() == "from inside\n"


def test_bind_of_one_file(cli: Cli, tmp_path: Path):
    (tmp_path / "motd").write_text("hello")
    assert cli("run", "--rm", "-v", f"{tmp_path}/motd:/etc/motd:ro", "busybox", "cat", "/etc/motd") == "hello"


def test_read_only_bind(cli: Cli, tmp_path: Path):
    result = cli.result("run", "--rm", "-v", f"{tmp_path}:/x:ro", "busybox", "touch", "/x/file")
    assert result.returncode == 1
    assert "Read-only file system" in result.stderr
    assert not (tmp_path / "file").exists()


def test_read_only_goes_for_what_is_mounted_below(cli: Cli, tmp_path: Path):
    source, below = tmp_path / "source", tmp_path / "source" / "below"
    below.mkdir(parents=True)
    linux.mount("tmpfs", str(below), "tmpfs", 0)
    try:
        for given in (("-v", f"{source}:/x:ro"), ("--mount", f"type=bind,src={source},dst=/x,readonly")):
            cli.fails("run", "--rm", *given, "busybox", "touch", "/x/below/file", code=1, message="Read-only")
        if cli.name == "pydock":  # the docker command line of long ago has no such option
            given = ("--mount", f"type=bind,src={source},dst=/x,readonly,bind-recursive=writable")
            cli("run", "--rm", *given, "busybox", "touch", "/x/below/file")
            assert (below / "file").exists()
    finally:
        linux.umount2(str(below), abi.MNT_DETACH)


def test_missing_bind_source_is_made_by_v_and_refused_by_mount(cli: Cli, tmp_path: Path):
    missing = tmp_path / "missing"
    message = f"bind source path does not exist: {missing}"
    cli.fails("run", "--mount", f"type=bind,src={missing},dst=/x", "busybox", code=125, message=message)
    assert cli("ps", "-aq") == ""
    assert not missing.exists()
    cli("run", "--rm", "-v", f"{missing}:/x", "busybox", "true")
    assert missing.is_dir()


def test_mount_syntax_for_volume_and_tmpfs(cli: Cli):
    options = ("--mount", "type=volume,src=data,dst=/v", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700")
    output = cli("run", "--rm", *options, "busybox", "sh", "-c", "touch /v/x; grep ' /t ' /proc/mounts; stat -c %a /t")
    assert "tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,mode=700" in output
    assert output.endswith("700")


def test_tmpfs_flag(cli: Cli):
    output = cli(
        "run",
        "--rm",
        "--tmpfs",
        "/t:size=64k",
        "busybox",
        "sh",
        "-c",
        "dd if=/dev/zero of=/t/x bs=1k count=65 || df -k /t",
    )
    assert " 64 " in output.replace("\t", " ")


def test_read_only_root(cli: Cli):
    options = ("--read-only", "--tmpfs", "/run", "-v", "data:/data")
    script = "touch /run/a /data/b && ! touch /c"
    result = cli.result("run", "--rm", *options, "busybox", "sh", "-c", script)
    assert result.returncode == 0
    assert "Read-only file system" in result.stderr


def test_volumes_from(cli: Cli):
    cli("run", "--name", "first", "-v", "data:/data", "-v", "/anonymous", "busybox", "sh", "-c", "echo x >/anonymous/x")
    assert cli("run", "--rm", "--volumes-from", "first:ro", "busybox", "cat", "/anonymous/x") == "x"


def test_mounts_in_inspect(cli: Cli, tmp_path: Path):
    cli("create", "--name", "web", "-v", "data:/data", "-v", f"{tmp_path}:/x:ro", "busybox")
    template = "{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}}\n{{end}}"
    assert sorted(cli("inspect", "-f", template, "web").split("\n")) == ["bind /x false", "volume /data true"]


def test_volume_in_use_is_not_removed(cli: Cli):
    identifier = cli("create", "-v", "data:/data", "busybox")
    cli.fails("volume", "rm", "data", code=1, message=f"volume is in use - \\[{identifier}\\]")
    cli("rm", identifier)
    assert cli("volume", "rm", "data") == "data"


def test_volume_commands(cli: Cli):
    assert cli("volume", "create", "--label", "a=b", "one") == "one"
    assert cli("volume", "create", "one") == "one"
    assert cli("volume", "ls", "-q", "--filter", "label=a=b") == "one"
    cli.fails("volume", "inspect", "two", code=1, message="no such volume|No such volume|get two")
    assert len(cli("volume", "create")) == 64
    assert "one" in cli("volume", "prune", "-af")
    assert cli("volume", "ls", "-q") == ""


def test_rm_v_removes_anonymous_volumes_only(cli: Cli):
    identifier = cli("run", "-d", "-v", "/data", "-v", "named:/named", "busybox", "true")
    assert len(cli("volume", "ls", "-q").split()) == 2
    cli("wait", identifier)
    cli("rm", "-v", identifier)
    assert cli("volume", "ls", "-q") == "named"
