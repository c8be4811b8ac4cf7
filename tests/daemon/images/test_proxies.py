"""Which requests go by a proxy, as Go's programs have it, and that registries are asked that way."""

from pathlib import Path

import pytest
from tests.daemon.images.conftest import Shop
from tests.daemon.images.liar import lying
from tests.fixtures.archives import entry, tar
from yarl import URL

from pydock_daemon.images import proxies
from pydock_daemon.images.proxies import Proxies
from pydock_shared.errors import PydockError

pytestmark = pytest.mark.root
NO = (
    " .sub.example, whole.example,*.star.example,10.0.0.0/8,192.0.2.1,port.example:81,"
    "[2001:db8::1]:82,2001:db8:1::/48,x/y"
)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://any.example/x", "http://plain:3128"),
        ("https://any.example/x", "https://secure:3129"),
        ("http://localhost:5000/", ""),
        ("http://127.1.2.3/", ""),
        ("http://[::1]:5000/", ""),
        ("http://a.sub.example", ""),
        ("http://sub.example", "http://plain:3128"),
        ("http://WHOLE.example.", ""),
        ("http://a.whole.example", ""),
        ("http://notwhole.example", "http://plain:3128"),
        ("http://a.star.example", ""),
        ("http://10.1.2.3:5000", ""),
        ("http://11.1.2.3:5000", "http://plain:3128"),
        ("http://192.0.2.1", ""),
        ("http://192.0.2.11", "http://plain:3128"),
        ("http://port.example:81", ""),
        ("http://port.example", "http://plain:3128"),
        ("http://[2001:db8::1]:82", ""),
        ("http://[2001:db8::1]", "http://plain:3128"),
        ("http://[2001:db8:1::7]", ""),
    ],
)
def test_what_goes_by_a_proxy(url: str, proxy: str) -> None:
    found = Proxies("plain:3128", "https://secure:3129", NO).of(URL(url))
    assert str(found or "") == proxy
    assert Proxies("plain:3128", "plain:3128", f"{NO}, *").of(URL(url)) is None


@pytest.mark.parametrize("proxy", ["socks5://x:1", "http://[", "http://"])
def test_a_proxy_that_is_none(proxy: str) -> None:
    with pytest.raises(PydockError, match="invalid proxy address"):
        Proxies(proxy).of(URL("http://any.example"))


def test_capital_letters_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "small")
    monkeypatch.setenv("HTTP_PROXY", "")
    assert proxies.from_environment().http == "small"
    monkeypatch.setenv("HTTP_PROXY", "large")
    assert proxies.from_environment().http == "large"


async def test_a_pull_by_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with lying([tar([entry("x", b"1")])]) as liar, lying([tar([entry("y", b"1")])]) as store:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pw@{liar.host}")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("NO_PROXY", "")
        (tmp_path / ".netrc").write_text("machine far.example login root password secret")
        monkeypatch.setenv("HOME", str(tmp_path))
        shop = Shop(tmp_path / "data", insecure_registries=("far.example",))
        shop.root.mkdir()
        await shop.open()
        assert (await shop.pull("far.example/name:1")).repo_tags == ["far.example/name:1"]
        assert len(liar.asked) == 3
        assert {authorization for authorization, _ in liar.headers} == {""}
        liar.store, store.layers, store.config = store.host, liar.layers, liar.config  # a redirect to what is near
        await shop.pull("far.example/other:1")
        assert len(liar.asked) == 4
        await shop.close()
