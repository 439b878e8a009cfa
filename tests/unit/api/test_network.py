"""Client addresses, names of the server and origins: who gets through, without a server."""

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from deepanalyze.api.network import ClientAddress, Clients, Hosts, host_of
from deepanalyze.errors import PermissionDenied
from deepanalyze.settings import Settings


class Reached:
    scope: Scope | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope


async def ask(app: Any, client: str | None = "192.0.2.7", **headers: str) -> None:
    scope = {
        "type": "http",
        "client": client and (client, 1),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, None, None)


async def address(client: str, forwarded: str = "", proxies: tuple[str, ...] = ()) -> str | None:
    reached = Reached()
    app = ClientAddress(reached, proxies=proxies)
    await ask(app, client, **({"x_forwarded_for": forwarded} if forwarded else {}))
    assert reached.scope is not None
    found: str | None = reached.scope["state"]["client_address"]
    return found


@pytest.mark.parametrize(
    ("client", "forwarded", "proxies", "found"),
    [
        ("192.0.2.7", "", (), "192.0.2.7"),
        ("192.0.2.7", "10.0.0.1", (), "192.0.2.7"),  # anyone can write that header
        ("127.0.0.1", "10.0.0.1", (), "127.0.0.1"),  # also on this machine
        ("10.9.9.9", "198.51.100.3", ("10.0.0.0/8",), "198.51.100.3"),
        ("10.9.9.9", "1.1.1.1, 198.51.100.3", ("10.0.0.0/8",), "198.51.100.3"),  # the client's own claim
        ("10.9.9.9", "198.51.100.3, 10.1.1.1", ("10.0.0.0/8",), "198.51.100.3"),
        ("10.9.9.9", "nonsense", ("10.0.0.0/8",), None),
        ("::ffff:10.9.9.9", "198.51.100.3", ("10.0.0.0/8",), "198.51.100.3"),
        ("fd00::1", "2001:db8::5", ("fd00::/8",), "2001:db8::5"),
    ],
)
async def test_only_trusted_proxies_say_who_the_client_is(
    client: str, forwarded: str, proxies: tuple[str, ...], found: str | None
) -> None:
    assert await address(client, forwarded, proxies) == found


async def test_clients_from_elsewhere_are_refused() -> None:
    clients = Clients(Reached(), allowed=("192.0.2.0/24", "10.0.0.0/8"))
    app = ClientAddress(clients, proxies=("10.0.0.1/32",))
    await ask(app, "192.0.2.7")
    await ask(app, "10.0.0.1", x_forwarded_for="192.0.2.9")
    for client, forwarded in (("198.51.100.1", "192.0.2.7"), ("10.0.0.1", "198.51.100.1"), ("10.0.0.1", "?")):
        with pytest.raises(PermissionDenied, match="allowed_client_networks"):
            await ask(app, client, x_forwarded_for=forwarded)
    await ask(app, None)  # asked in this process


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost:8200", True),
        ("127.0.0.1", True),
        ("192.0.2.7:8200", True),
        ("[::1]:8200", True),
        ("DA.example.org.", True),
        ("evil.example.org", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
async def test_the_server_answers_to_its_own_names(host: str, allowed: bool) -> None:
    app = Hosts(Reached(), settings=Settings(public_url="https://da.example.org/api"))
    if allowed:
        await ask(app, host=host)
    else:
        with pytest.raises(PermissionDenied, match="allowed_hosts"):
            await ask(app, host=host)


async def test_the_names_can_be_said() -> None:
    app = Hosts(Reached(), settings=Settings(allowed_hosts="da.example.org,*.internal"))  # type: ignore[arg-type]
    for host in ("da.example.org", "a.b.internal:8200", "10.0.0.1"):
        await ask(app, host=host)
    for host in ("localhost", "internal", "example.org"):
        with pytest.raises(PermissionDenied):
            await ask(app, host=host)
    await ask(Hosts(Reached(), settings=Settings(allowed_hosts=("*",))), host="any.example")


def test_the_name_in_a_host_header() -> None:
    assert [host_of(h) for h in ("A.b:1", "[::1]:1", "[::1", "")] == ["a.b", "::1", "::1", ""]
