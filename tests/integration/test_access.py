"""Who may see, use and make which data sources."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from deepanalyze.access import Question, SourceAccess
from deepanalyze.accounts import Grant, Principal, User
from deepanalyze.datasources import Certificate, CredentialManager, DataSourceRegistry, Table
from deepanalyze.datasources.changes import SourceChange
from deepanalyze.datasources.references import DataReference
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import (
    AlreadyExists,
    BlobNotFound,
    InvalidRequest,
    NotFound,
    NotSupported,
    PermissionDenied,
    SourceAuthenticationFailed,
)
from deepanalyze.workspace import Workspace
from tests.support.toysource import PASSWORD, ToyConnector

ADMIN = Principal(User("user-0", "admin", "admin"))
ADA = Principal(User("user-1", "ada", "analyst"))
BOB = Principal(User("user-2", "bob", "analyst"))
TOYS = {"toys": ["b.csv", "a.csv", "c d.csv"], "password": PASSWORD}


@pytest.fixture
async def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[DataSourceRegistry]:
    credentials = CredentialManager.from_key_file(tmp_path / "key")
    async with DataSourceRegistry(credentials) as registry:
        registry.register_connector_class("toy", ToyConnector)
        yield registry


@pytest.fixture
def access(registry: DataSourceRegistry) -> SourceAccess:
    return SourceAccess(registry)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "thread" / "work", tmp_path / "thread" / "staging")
    made.create()
    return made


async def make(
    access: SourceAccess, principal: Principal = ADMIN, name: str = "box", **more: Any
) -> StoredSource:
    return await access.create(principal, type="toy", name=name, config=more.pop("config", TOYS), **more)


def granted(principal: Principal, *grants: Grant) -> Principal:
    return replace(principal, user=replace(principal.user, grants=grants))


async def test_an_administrators_source_is_shared_with_those_who_have_a_grant(access: SourceAccess) -> None:
    source = await make(access)
    assert source.shared
    assert access.list(ADA) == []
    for way in (source.id, source.name):
        with pytest.raises(NotFound):
            access.get(ADA, way)
    for grant in (Grant(source.id), Grant("*")):
        assert access.list(granted(ADA, grant)) == [source]
        assert access.get(granted(ADA, grant), "box") == source
    assert access.list(granted(ADA, Grant("ds-other"))) == []


async def test_an_analysts_source_is_private(access: SourceAccess) -> None:
    source = await make(access, ADA)
    assert not source.shared
    assert source.created_by == ADA.user_id
    assert access.list(ADA) == [source]
    assert access.list(granted(BOB, Grant("*"), Grant(source.id))) == []
    assert (await access.test(ADA, "box")).status == "success"


async def test_administrators_see_and_delete_private_sources_but_do_not_use_them(
    access: SourceAccess,
) -> None:
    source = await make(access, ADA)
    assert access.list(ADMIN) == [source]
    for attempt in (
        access.browse(ADMIN, source.id),
        access.test(ADMIN, source.id),
        access.test(ADMIN, source.id, deep=True),
        access.update(ADMIN, source.id, SourceChange(config={"toys": ["elsewhere.csv"]})),
        access.update(ADMIN, source.id, SourceChange(name="taken", config={"read_only": False})),
        access.update(ADMIN, source.id, SourceChange(metadata={"a": 1})),
    ):
        with pytest.raises(PermissionDenied, match="private to the user who made it"):
            await attempt
    assert access.list(ADMIN) == access.list(ADA) == [source]
    assert await access.delete(ADMIN, source.id) == source.id
    assert access.list(ADA) == []


async def test_a_key_narrows_what_its_user_may_see(access: SourceAccess) -> None:
    shared, private = await make(access), await make(access, ADA, name="mine")
    narrow = replace(granted(ADA, Grant("*")), sources=(private.id,))
    assert access.list(narrow) == [private]
    with pytest.raises(NotFound):
        access.get(narrow, shared.id)
    assert access.list(replace(ADMIN, sources=())) == []


async def test_what_one_may_not_see_looks_like_what_is_not_there(access: SourceAccess) -> None:
    await make(access)
    with pytest.raises(NotFound) as hidden:
        access.get(ADA, "box")
    with pytest.raises(NotFound) as missing:
        access.get(ADA, "xob")
    assert hidden.value.message.replace("box", "xob") == missing.value.message


async def test_analysts_do_not_delete_what_is_shared(access: SourceAccess) -> None:
    source = await make(access)
    with pytest.raises(PermissionDenied):
        await access.delete(granted(ADA, Grant(source.id, write=True)), source.id)
    own = await make(access, ADA, name="mine")
    assert await access.delete(ADA, "mine") == own.id


async def test_deleting_ends_the_live_connector(access: SourceAccess, registry: DataSourceRegistry) -> None:
    source = await make(access)
    await access.browse(ADMIN, source.id)
    connector = await registry.get_connector(source.id)
    assert isinstance(connector, ToyConnector)
    assert connector.connected
    await access.delete(ADMIN, source.id)
    assert not connector.connected
    with pytest.raises(NotFound):
        await access.browse(ADMIN, source.id)


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ({**TOYS, "server_path": "/etc"}, "config.server_path"),
        ({**TOYS, "password": "${env:DEEPANALYZE_ENCRYPTION_KEY}"}, "config.password"),
        ({**TOYS, "toys": ["x", "${file:/etc/passwd}"]}, "config.toys[1]"),
    ],
)
async def test_analysts_give_explicit_credentials_only(
    access: SourceAccess, config: dict[str, Any], param: str
) -> None:
    with pytest.raises(PermissionDenied) as caught:
        await make(access, ADA, config=config)
    assert caught.value.param == param
    assert access.list(ADA) == []


async def test_analysts_do_not_share_and_may_be_kept_from_adding(
    access: SourceAccess, registry: DataSourceRegistry
) -> None:
    with pytest.raises(PermissionDenied):
        await make(access, ADA, shared=True)
    with pytest.raises(PermissionDenied):
        await make(SourceAccess(registry, analysts_may_create=False), ADA)
    assert await make(SourceAccess(registry, analysts_may_create=False), ADMIN)


async def test_administrators_may_use_what_belongs_to_the_server(access: SourceAccess) -> None:
    assert await make(access, config={**TOYS, "server_path": "/srv"})


async def test_references_are_never_read_from_a_request(access: SourceAccess) -> None:
    with pytest.raises(PermissionDenied, match="configuration file"):
        await make(access, ADMIN, config={**TOYS, "password": "${env:HOME}"})


@pytest.mark.requirement("6.4")
@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"type": "nope"}, InvalidRequest, "type"),
        ({"name": "Box"}, InvalidRequest, "name"),
        ({"name": "templates"}, InvalidRequest, "name"),
        ({"name": "ds-box"}, InvalidRequest, "name"),
        ({"id": "ds-mine"}, InvalidRequest, "id"),
        ({"config": {"password": PASSWORD}}, InvalidRequest, "config.toys"),
        ({"config": {**TOYS, "toy": []}}, InvalidRequest, "config.toy"),
        ({"config": {**TOYS, "password": "wrong"}}, SourceAuthenticationFailed, None),
    ],
)
async def test_what_is_wrong_is_told_and_not_stored(
    access: SourceAccess, fields: dict[str, Any], error: type[Exception], param: str | None
) -> None:
    with pytest.raises(error) as caught:
        await access.create(ADMIN, **{"type": "toy", "name": "box", "config": TOYS, **fields})
    assert getattr(caught.value, "param", None) == param
    assert access.list(ADMIN) == []


async def test_an_untested_source_may_be_wrong(access: SourceAccess) -> None:
    source = await make(access, config={**TOYS, "password": "wrong"}, test_connection=False)
    assert source.status == "untested"
    result = await access.test(ADMIN, source.id)
    assert result.status == "failure"
    assert isinstance(result.error, SourceAuthenticationFailed)
    assert access.get(ADMIN, source.id).status == "error"


async def test_a_test_tells_what_the_server_is(access: SourceAccess) -> None:
    result = await access.test(ADMIN, (await make(access)).id)
    assert (result.status, result.server, result.error) == ("success", {"version": "1.0"}, None)


async def test_of_many_who_want_one_name_one_gets_it(access: SourceAccess) -> None:
    results = await asyncio.gather(*(make(access) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, StoredSource) for result in results) == 1
    assert sum(isinstance(result, AlreadyExists) for result in results) == 9


async def test_secrets_are_masked(access: SourceAccess) -> None:
    shown = access.public_config(await make(access))
    assert shown["password"] == "********"
    assert shown["toys"] == TOYS["toys"]


async def test_pages_follow_the_order_of_paths(access: SourceAccess) -> None:
    names = [f"{n:03}.csv" for n in range(57)]
    await make(access, config={**TOYS, "toys": [*reversed(names)]})
    found: list[str] = []
    cursor = None
    while True:
        page = await access.browse(ADMIN, "box", limit=10, cursor=cursor)
        found += [item.path for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) == 10
    assert found == names
    assert [i.path for i in (await access.browse(ADMIN, "box", path="01")).items] == names[10:20]


@pytest.mark.parametrize("cursor", ["x", "", "☃", "bnVsbA==", "WzFd"])
async def test_a_made_up_cursor_is_refused(access: SourceAccess, cursor: str) -> None:
    await make(access)
    with pytest.raises(InvalidRequest) as caught:
        await access.browse(ADMIN, "box", cursor=cursor)
    assert caught.value.param == "cursor"


async def test_what_is_fetched_lies_in_the_workspace_and_overwrites_nothing(
    access: SourceAccess, workspace: Workspace
) -> None:
    await make(access)
    first = await access.fetch(ADMIN, DataReference("box", path="*"), workspace)
    again = await access.fetch(ADMIN, DataReference("box", path="a.csv"), workspace)
    assert sorted(file.file for file in first) == ["a.csv", "b.csv", "c d.csv"]
    assert [file.file for file in again] == ["a-2.csv"]
    assert (workspace.root / "c d.csv").read_text() == "toy\nc d.csv\n"
    assert list(workspace.staging.iterdir()) == []


async def test_a_failed_fetch_leaves_nothing(access: SourceAccess, workspace: Workspace) -> None:
    await make(access)
    with pytest.raises(BlobNotFound):
        await access.fetch(ADMIN, DataReference("box", path="nothing"), workspace)
    with pytest.raises(InvalidRequest, match="of type 'toy'"):
        await access.fetch(ADMIN, DataReference("box", path="a.csv", type="postgresql"), workspace)
    assert list(workspace.staging.iterdir()) == []
    assert list(workspace.root.iterdir()) == []


async def test_fetching_needs_the_grant(access: SourceAccess, workspace: Workspace) -> None:
    source = await make(access)
    reference = DataReference(source.id, path="a.csv")
    with pytest.raises(NotFound):
        await access.fetch(ADA, reference, workspace)
    with pytest.raises(PermissionDenied):
        await access.fetch(granted(ADA, Grant(source.id, use=False, write=True)), reference, workspace)
    assert await access.fetch(granted(ADA, Grant(source.id)), reference, workspace)


async def test_one_user_fetches_half_as_many_at_once_as_all_may(
    registry: DataSourceRegistry, workspace: Workspace
) -> None:
    access = SourceAccess(registry, parallel_fetches=4)
    await make(access)
    connector = await registry.get_connector("box")
    assert isinstance(connector, ToyConnector)
    connector.meeting = asyncio.Barrier(2)
    async with asyncio.timeout(60):
        await asyncio.gather(
            *(access.fetch(ADMIN, DataReference("box", path="a.csv"), workspace) for _ in range(8))
        )
    assert connector.most_downloading == 2
    assert len(workspace.list()) == 8


async def test_a_fetch_is_logged_with_what_it_brought(access: SourceAccess, workspace: Workspace) -> None:
    await make(access)
    with capture_logs() as logs:
        files = await access.fetch(ADMIN, DataReference("box", path="*"), workspace)
    [record] = [entry for entry in logs if entry["event"] == "source operation"]
    told = (record["files"], record["rows"], record["bytes"], record["truncated"])
    assert told == (len(files), 0, sum(file.bytes for file in files), False)


@pytest.mark.requirement("7.1")
async def test_a_failed_operation_is_logged_with_source_and_operation(
    access: SourceAccess, workspace: Workspace
) -> None:
    source = await make(access)
    with capture_logs() as logs, pytest.raises(BlobNotFound):
        await access.fetch(ADMIN, DataReference("box", path="nothing"), workspace)
    [record] = [entry for entry in logs if entry["event"] == "source operation"]
    assert (record["operation"], record["source_id"], record["outcome"]) == ("fetch", source.id, "failed")
    assert (record["code"], record["log_level"]) == ("blob_not_found", "warning")


@pytest.mark.requirement("7.2")
async def test_failed_authentication_is_logged_without_the_credentials(access: SourceAccess) -> None:
    secret = "correct horse battery staple"
    source = await make(access, config={**TOYS, "password": secret}, test_connection=False)
    with capture_logs() as logs:
        await access.test(ADMIN, source.id)
    [record] = [entry for entry in logs if entry["event"] == "source operation"]
    assert record["code"] == "source_authentication_failed"
    assert secret not in str(logs)


async def test_descriptions_are_remembered_for_all_who_may_use_the_source(
    access: SourceAccess, registry: DataSourceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def describe(self: ToyConnector, identifier: str) -> dict[str, Any]:
        asked.append(identifier)
        return {"name": identifier}

    monkeypatch.setattr(ToyConnector, "get_metadata", describe)
    source = await make(access)
    ada = granted(ADA, Grant(source.id))
    several = await asyncio.gather(*(access.metadata(who, "box", "a.csv") for who in (ADMIN, ada, ADMIN)))
    assert [found.value for found in several] == [{"name": "a.csv"}] * 3
    assert asked == ["a.csv"]
    await access.metadata(ada, "box", "b.csv")
    await access.metadata(ada, "box", "a.csv", refresh=True)
    assert asked == ["a.csv", "b.csv", "a.csv"]
    with pytest.raises(NotFound):
        await access.metadata(BOB, "box", "a.csv")


async def test_what_a_type_cannot_do_is_told_with_what_it_holds(access: SourceAccess, tmp_path: Path) -> None:
    await make(access)
    question = Question("SELECT 1")
    for asking in (
        access.schema(ADMIN, "box"),
        access.preview(ADMIN, "box", "a.csv", 10),
        access.statistics(ADMIN, "box", "a.csv"),
        access.query(ADMIN, "box", question),
        access.export(ADMIN, "box", question, tmp_path / "a.csv", "csv"),
        access.test(ADMIN, "box", deep=True),
    ):
        with pytest.raises(NotSupported, match="'box' \\(toy\\) holds files"):
            await asking
    assert not (tmp_path / "a.csv").exists()


class Ledger(ToyConnector):
    """Answers SQL with who may write, and certifies."""

    async def query(self, sql: str, **how: Any) -> Any:
        raise NotImplementedError

    async def rows(self, sql: str, *, may_write: bool = True, **how: Any) -> Table:
        return Table((), [[may_write]], truncated=False, rows_affected=1 if sql == "write" else None)

    async def certify(self) -> Certificate:
        return Certificate("A", "harmless", [], "")


@pytest.fixture
def ledgers(registry: DataSourceRegistry) -> None:
    registry.register_connector_class("toy", Ledger)


@pytest.mark.usefixtures("ledgers")
async def test_writing_is_for_grants_and_makers(access: SourceAccess) -> None:
    async def may_write(principal: Principal, name: str) -> bool:
        return bool((await access.query(principal, name, Question("read"))).rows[0][0])

    shared, _ = await make(access), await make(access, ADA, name="mine")
    assert await may_write(ADMIN, "box")
    assert await may_write(ADA, "mine")
    assert await may_write(granted(ADA, Grant(shared.id, write=True)), "box")
    assert not await may_write(granted(ADA, Grant(shared.id)), "box")
    with pytest.raises(PermissionDenied):
        await may_write(granted(ADA, Grant(shared.id, use=False, write=True)), "box")
    with pytest.raises(PermissionDenied):
        await may_write(ADMIN, "mine")


@pytest.mark.usefixtures("ledgers")
async def test_writing_forgets_what_was_remembered(
    access: SourceAccess, registry: DataSourceRegistry
) -> None:
    source = await make(access)
    await access.metadata(ADMIN, "box", "a.csv")
    await access.query(ADMIN, "box", Question("read"))
    assert registry.metadata.peek(source.id, ("metadata", "a.csv"))
    await access.query(ADMIN, "box", Question("write"))
    assert registry.metadata.peek(source.id, ("metadata", "a.csv")) is None


@pytest.mark.usefixtures("ledgers")
async def test_certificates_are_for_those_who_manage_the_source(access: SourceAccess) -> None:
    shared, _ = await make(access), await make(access, ADA, name="mine")
    for principal, name in ((ADMIN, "box"), (ADA, "mine")):
        result = await access.test(principal, name, deep=True)
        assert result.certificate is not None
        assert result.certificate.grade == "A"
        assert (await access.test(principal, name)).certificate is None
    with pytest.raises(PermissionDenied):
        await access.test(granted(ADA, Grant(shared.id, write=True)), "box", deep=True)
    with pytest.raises(PermissionDenied):
        await access.test(ADMIN, "mine", deep=True)


def test_templates_come_from_the_connectors(access: SourceAccess) -> None:
    template = access.template("toy")
    assert template.title == "Toy box"
    assert template.schema["properties"]["password"]["writeOnly"] is True
    assert set(template.schema["required"]) == {"toys", "password"}
    assert {"azure_blob", "postgresql", "toy"} <= {found.type for found in access.templates()}
    with pytest.raises(NotFound):
        access.template("nope")
