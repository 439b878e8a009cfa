"""Who asks too often is told when to come back; others do not notice."""

from __future__ import annotations

from tests.support.server import served


async def test_too_many_requests_of_one_user() -> None:
    async with served(requests_per_minute=5) as server:
        ada, bob = await server.user("ada"), await server.user("bob")
        async with server.client(ada) as client:
            statuses = [(await client.get("/v1/models")).status_code for _ in range(5)]
            refused = await client.get("/v1/models")
        assert statuses == [200] * 5
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 12
        async with server.client(bob) as client:
            assert (await client.get("/v1/models")).status_code == 200
        async with server.client() as admin:
            assert {(await admin.get("/v1/models")).status_code for _ in range(10)} == {200}
