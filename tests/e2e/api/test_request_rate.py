"""Who asks too often is told when to come back; others do not notice."""

from __future__ import annotations

import httpx

from tests.support.server import NO_TLS, served


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


async def test_a_signed_link_counts_for_the_user_that_it_was_made_for() -> None:
    async with served(requests_per_minute=3) as server:
        await server.user("ada")
        ada, admin = [await server.runtime.accounts.user(name) for name in ("ada", "admin")]
        theirs, free = [server.runtime.urls.sign(user.id, "thread-gone", "a.csv") for user in (ada, admin)]
        async with httpx.AsyncClient(verify=NO_TLS) as anybody:
            forged = [await anybody.get(f"{theirs}0") for _ in range(10)]
            answers = [await anybody.get(theirs) for _ in range(4)]
            unlimited = [await anybody.get(free) for _ in range(10)]
    assert {answer.status_code for answer in forged} == {403}
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    assert "requests_per_minute" in answers[-1].json()["error"]["message"]
    assert {answer.status_code for answer in unlimited} == {404}
