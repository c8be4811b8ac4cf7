"""Settings: flags and file, from one table."""

import json
from pathlib import Path

import pytest

from pydock_daemon import config
from pydock_daemon.values import OciRuntime, SignatureRule, Watermark
from pydock_shared.errors import InvalidArgument


def load(*flags, file=None, tmp_path=None):
    words = list(flags)
    if file is not None:
        path = tmp_path / "daemon.json"
        path.write_text(file if isinstance(file, str) else json.dumps(file))
        words += ["--config-file", str(path)]
    return config.load(config.parser().parse_args(words))


def test_flags(tmp_path):
    found = load(
        "-H", "unix:///tmp/a.sock", "-H", "tcp://127.0.0.1:2375", "--data-root", "rel", "--bip", "10.9.0.1/24", "-D",
        "--default-address-pool", "base=10.10.0.0/16,size=24", "--insecure-registry", "reg:5000", "--label", "a=b",
        "--default-runtime", "pydock", "--validate", file={}, tmp_path=tmp_path,
    )  # fmt: skip
    made = found.config
    assert made.hosts == ("unix:///tmp/a.sock", "tcp://127.0.0.1:2375")
    assert made.data_root == Path.cwd() / "rel"
    assert (made.bip, made.log_level, made.labels) == ("10.9.0.1/24", "debug", ("a=b",))
    assert made.default_address_pools == (("10.10.0.0/16", 24),)
    assert found.validate


def test_the_same_keys_in_the_file(tmp_path):
    file = {
        "hosts": ["unix:///tmp/a.sock"],
        "bridge": "br7",
        "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}],
        "log-opts": {"max-size": "10m"},
        "live-restore": True,
        "init": True,
        "init-path": "/usr/bin/tini-static",
        "userns-remap": "default",
    }
    made = load(file=file, tmp_path=tmp_path).config
    assert (made.hosts, made.bridge, made.log_options) == (("unix:///tmp/a.sock",), "br7", {"max-size": "10m"})
    assert made.default_address_pools == (("10.10.0.0/16", 24),)
    assert (made.init, made.init_path) == (True, "/usr/bin/tini-static")
    assert (made.userns_remap, load("--userns-remap", "1000:1000").config.userns_remap) == ("default", "1000:1000")
    assert (load(file={}, tmp_path=tmp_path).config.init, load("--init").config.init) == (False, True)


@pytest.mark.parametrize(
    ("flags", "file", "message"),
    [
        (["--bridge", "a"], {"bridge": "b"}, "both as a flag and in the configuration file: bridge"),
        ([], {"nonsense": 1}, "don't match any configuration option: nonsense"),
        (["--image-gc-low", "10%"], None, "image-gc-low needs image-gc-high"),
        (["--image-gc-low", "90%", "--image-gc-high", "80%"], None, "needs to be below image-gc-high"),
        (["--image-gc-low", "1GB", "--image-gc-high", "80%"], None, "and of its kind"),
        (["--image-gc-high", "101%"], None, "must be a percentage"),
        (["--image-gc-high", "0"], None, "must be more than nothing"),
        (["--image-gc-min-age=-1s"], None, "must not be negative"),
        ([], "{", "unable to configure the daemon with file"),
        ([], "[]", "needs a JSON object"),
        ([], {"live-restore": False}, "live-restore: cannot be switched off"),
        ([], {"init": "yes"}, "invalid value for init: must be true or false"),
        (["--bip", "nonsense"], {}, "invalid value for bip"),
        (["-H", "npipe://x"], {}, "invalid value for hosts"),
        (["--bridge", "far-too-long-for-a-link"], {}, "invalid value for bridge"),
        (["--log-driver", "splunk"], {}, "invalid value for log-driver"),
        (["--default-runtime", "kata"], {}, "specified default runtime 'kata' does not exist"),
        (["--add-runtime", "../x=/usr/bin/crun"], {}, "'../x' is not a runtime's name"),
        ([], {"runtimes": {"kata": {"runtimeType": "io.containerd.kata.v2"}}}, "runtime option 'runtimeType' is not"),
        ([], {"runtimes": {"crun": {"path": ""}}}, "invalid value for runtimes: needs a text"),
        (["--add-runtime", "pydock=/x"], {}, "runtime name 'pydock' is reserved"),
        (["--default-address-pool", "base=10.0.0.0/24,size=16"], {}, "invalid value for default-address-pools"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, flags, file, message):
    with pytest.raises(InvalidArgument, match=message):
        load(*flags, file=file, tmp_path=tmp_path)


def test_other_runtimes_by_flag_and_file(tmp_path):
    flags = load("--add-runtime", "runc=/usr/bin/runc", "--default-runtime", "runc", file={}, tmp_path=tmp_path)
    assert flags.config.runtimes == {"runc": OciRuntime("/usr/bin/runc")}
    assert flags.config.default_runtime == "runc"
    entry = {"path": "crun", "runtimeArgs": ["--debug"]}
    stored = load(file={"runtimes": {"crun": entry}}, tmp_path=tmp_path)
    assert stored.config.runtimes == {"crun": OciRuntime("crun", ("--debug",))}


def test_a_file_that_was_named_must_exist(tmp_path):
    with pytest.raises(InvalidArgument, match="no such file"):
        load("--config-file", str(tmp_path / "missing.json"))


def test_watermarks():
    made = load("--image-gc-high", "85%", "--image-gc-min-age", "1h").config
    assert (made.image_gc_high, made.image_gc_low, made.image_gc_min_age) == (Watermark(85), None, 3600 * 10**9)
    assert made.image_gc_high.below() == Watermark(75)
    assert load("--image-gc-high", "50GB").config.image_gc_high.below() == Watermark(0, 45 << 30)
    assert (str(Watermark(85)), str(Watermark(0, 7))) == ("85%", "7 bytes")


def test_signature_policies(tmp_path):
    wanted = {
        "reg.example": SignatureRule("require", (Path("/k/a.pub"), Path("/k/b.pub"))),
        "reg.example/free": SignatureRule("off"),
    }
    file = {
        "signatures": {
            "reg.example": {"mode": "require", "keys": ["/k/a.pub", "/k/b.pub"]},
            "reg.example/free": {"mode": "off"},
        }
    }
    assert load(file=file, tmp_path=tmp_path).config.signatures == wanted
    flags = ["--signatures", "reg.example=require,/k/a.pub,/k/b.pub", "--signatures", "reg.example/free=off"]
    assert load(*flags).config.signatures == wanted
    for entry in ({"mode": "maybe"}, {"mode": "warn"}, {"mode": "off", "keys": ["/k"]}, {"mode": "off", "key": 1}, 7):
        with pytest.raises(InvalidArgument, match="invalid value for signatures"):
            load(file={"signatures": {"x": entry}}, tmp_path=tmp_path)
