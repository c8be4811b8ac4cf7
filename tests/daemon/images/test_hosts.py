"""Where registries are reached: by settings, hosts.toml, registries.conf and certificates."""

from pathlib import Path

import pytest
from tests.fixtures.certificates import Authority

from pydock_daemon.images.hosts import Hosts
from pydock_shared.errors import PydockError


def hosts_toml(folder: Path, domain: str, text: str) -> Hosts:
    (folder / domain).mkdir()
    (folder / domain / "hosts.toml").write_text(text)
    return Hosts([], [], [folder])


def registries(folder: Path, text: str) -> Hosts:
    (folder / "registries.conf").write_text(text)
    return Hosts([], [], [], [folder / "missing.conf", folder / "registries.conf"])


def apis(hosts: Hosts, domain: str, path: str = "team/app") -> list[str]:
    return [f"{endpoint.api}/{endpoint.prefix}{path}" for endpoint in hosts.endpoints(domain, path)]


def test_a_registry_that_is_allowed_to_be_insecure() -> None:
    some, none = Hosts(["10.0.0.0/8", "plain.example:5000"], []), Hosts([], [])
    names = ["10.1.2.3:5000", "plain.example:5000", "plain.example", "x.org", "127.0.0.1:1", "localhost", "[::1]:5000"]
    assert [some.is_insecure(name) for name in names] == [True, True, False, False, True, True, True]
    assert [none.is_insecure(name) for name in names] == [False, False, False, False, True, True, True]


def test_mirrors_are_of_the_hub_and_tls_comes_first() -> None:
    hosts = Hosts([], ["http://m.example/", "n.example"])
    assert apis(hosts, "docker.io", "library/x") == [
        "http://m.example/v2/library/x",
        "https://n.example/v2/library/x",
        "https://registry-1.docker.io/v2/library/x",
    ]
    assert apis(hosts, "reg.example") == ["https://reg.example/v2/team/app"]
    assert apis(hosts, "127.0.0.1:5") == ["https://127.0.0.1:5/v2/team/app", "http://127.0.0.1:5/v2/team/app"]
    hosts.answered(hosts.endpoints("127.0.0.1:5", "x")[1], "127.0.0.1:5")
    assert apis(hosts, "127.0.0.1:5") == ["http://127.0.0.1:5/v2/team/app"]


def test_hosts_toml(tmp_path: Path) -> None:
    hosts = hosts_toml(
        tmp_path,
        "reg.example",
        """
        server = "https://real.example"
        [host."https://a.example"]
        capabilities = ["pull", "resolve"]
        [host."http://b.example/base/v2/deep"]
        override_path = true
        capabilities = ["pull"]
        [host."http://b.example/base/v2/deep".header]
        x-key = ["one", "two"]
        """,
    )
    first, second, real = hosts.endpoints("reg.example", "app")
    assert (first.api, first.mirror, first.namespace) == ("https://a.example/v2", True, "reg.example")
    assert (second.api, second.actions) == ("http://b.example/base/v2/deep", {"pull"})
    assert second.headers == {"x-key": "one, two"}
    assert (real.api, real.mirror, real.namespace) == ("https://real.example/v2", False, "")
    assert "push" in real.actions
    assert apis(hosts, "other.example") == ["https://other.example/v2/team/app"]


def test_a_default_for_all_that_have_no_folder(tmp_path: Path) -> None:
    hosts = hosts_toml(tmp_path, "_default", '[host."https://cache.example"]')
    assert apis(hosts, "x.example") == ["https://cache.example/v2/team/app", "https://x.example/v2/team/app"]
    assert hosts.endpoints("docker.io", "x")[0].namespace == "docker.io"
    assert apis(hosts, "docker.io")[1] == "https://registry-1.docker.io/v2/team/app"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server = ", "hosts.toml: Invalid value"),
        ('[host."ftp://x"]', "ftp://x: needs http:// or https://"),
        ('[host."https://x"]\ndial = "1s"', "'dial' is not supported"),
        ('[host."https://x"]\ncapabilities = ["fly"]', "capability 'fly' is not known"),
        ('[host."https://x"]\nca = "gone.pem"', "gone.pem: No such file"),
    ],
)
def test_a_hosts_toml_that_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PydockError) as caught:
        hosts_toml(tmp_path, "x.example", text).endpoints("x.example", "app")
    assert message in caught.value.message


def test_registries_conf(tmp_path: Path) -> None:
    hosts = registries(
        tmp_path,
        """
        [[registry]]
        location = "reg.example"
        insecure = true
        [[registry]]
        prefix = "reg.example/team"
        location = "inner.example/copy/team"
        [[registry.mirror]]
        location = "near.example/team"
        pull-from-mirror = "digest-only"
        [[registry]]
        prefix = "*.corp"
        location = "corp.example"
        [[registry]]
        location = "bad.example"
        blocked = true
        """,
    )
    assert apis(hosts, "reg.example", "x/y") == ["https://reg.example/v2/x/y", "http://reg.example/v2/x/y"]
    near, inner = hosts.endpoints("reg.example", "team/app")
    assert (near.api, near.prefix, near.mirror, near.tags) == ("https://near.example/v2", "", True, False)
    assert f"{inner.api}/{inner.prefix}team/app" == "https://inner.example/v2/copy/team/app"
    assert apis(hosts, "a.b.corp") == ["https://corp.example/v2/team/app"]
    assert apis(hosts, "reg.examples") == ["https://reg.examples/v2/team/app"]
    with pytest.raises(PydockError, match=r"registry bad\.example is blocked"):
        hosts.endpoints("bad.example", "x")


def test_a_registries_conf_that_is_wrong_is_named(tmp_path: Path) -> None:
    hosts = registries(tmp_path, '[[registry]]\nprefix = "a.example/x"\nlocation = "b.example/y"')
    with pytest.raises(PydockError, match=r"renames 'a\.example/x/app'"):
        hosts.endpoints("a.example", "x/app")


def test_certificates_of_a_host(tmp_path: Path) -> None:
    own = Authority()
    folder = tmp_path / "reg.example:5000"
    folder.mkdir()
    assert Hosts([], [], [tmp_path]).endpoints("reg.example:5000", "x")[0].tls is True
    (folder / "ca.crt").write_bytes(own.certificate)
    own.issue("me").write(folder / "client.cert", folder / "client.key")
    hosts = Hosts([], [], [tmp_path])
    context = hosts.endpoints("reg.example:5000", "x")[0].tls
    assert not isinstance(context, bool)
    assert context is hosts.endpoints("reg.example:5000", "x")[0].tls
    assert any("own authority" in str(entry["subject"]) for entry in context.get_ca_certs())
    assert hosts.endpoints("reg.example", "x")[0].tls is True
    (folder / "client.cert").unlink()
    with pytest.raises(PydockError, match=r"missing client certificate client\.cert for key client\.key"):
        hosts.endpoints("reg.example:5000", "x")
