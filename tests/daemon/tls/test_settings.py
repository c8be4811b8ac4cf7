"""The certificates that the daemon's settings name."""

from pathlib import Path

import pytest
from tests.fixtures.certificates import Authority

from pydock_daemon.config import Config
from pydock_daemon.tls.settings import Certificates, certificates
from pydock_shared.errors import InvalidArgument


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    authority = Authority()
    authority.issue("daemon").write(tmp_path / "cert.pem", tmp_path / "key.pem")
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    return tmp_path


def test_none_without_tls(folder: Path):
    assert certificates(Config()) is None


def test_files_that_are_not_said(folder: Path):
    own = (str(folder / "cert.pem"), str(folder / "key.pem"))
    assert certificates(Config(tls=True)) == Certificates(*own, "")
    assert certificates(Config(tls_verify=True)) == Certificates(*own, str(folder / "ca.pem"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tls_key": "none"}, 'could not load X509 key pair (cert: "{folder}/cert.pem", key: "{folder}/none")'),
        ({"tls_certificate": "key.pem"}, "could not load X509 key pair"),
        ({"tls_authority": "none"}, 'could not read CA certificate "{folder}/none"'),
        ({"tls_authority": "nonsense"}, "could not read CA certificate"),
    ],
)
def test_what_is_no_certificate(folder: Path, changed: dict[str, str], message: str):
    (folder / "nonsense").write_text("nonsense")
    config = Config(tls_verify=True, **{name: folder / file for name, file in changed.items()})
    with pytest.raises(InvalidArgument) as caught:
        certificates(config)
    assert caught.value.message.startswith("invalid TLS configuration: " + message.format(folder=folder))
