"""What was answered with success is there after a restart, and secrets lie encrypted meanwhile."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from deepanalyze.errors import StartupError
from tests.support.answers import error_of
from tests.support.server import serving
from tests.support.toysource import PASSWORD, ToyConnector


@pytest.mark.requirement("3.1")
def test_everything_survives_a_restart(tmp_path: Path) -> None:
    with serving(data_dir=tmp_path) as server:
        server.runtime.registry.register_connector_class("toy", ToyConnector)
        key = server.user("ada")
        with server.client(key) as ada:
            body = {"type": "toy", "name": "box", "config": {"toys": ["a.csv"], "password": PASSWORD}}
            source = ada.post("/v1/data-sources", json=body).json()
            file = ada.post("/v1/files", files={"file": ("a.csv", b"x\n1\n")}).json()
            fetched = ada.post("/v1/data-sources/box/fetch", json={"path": "a.csv"}).json()
            [linked] = ada.get(f"/v1/threads/{fetched['thread_id']}/files").json()["data"]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path
            assert key.encode() not in path.read_bytes(), path
    with serving(data_dir=tmp_path) as server:
        server.runtime.registry.register_connector_class("toy", ToyConnector)
        with server.client(key) as ada, server.anonymous() as anonymous:
            assert ada.get("/v1/data-sources/box").json() == source
            assert ada.post("/v1/data-sources/box/test").json()["status"] == "success"
            assert ada.get(f"/v1/files/{file['id']}/content").content == b"x\n1\n"
            old_port = httpx.URL(linked["url"])
            moved = old_port.copy_with(port=httpx.URL(server.url).port)
            assert anonymous.get(moved).text == "toy\na.csv\n"
        with server.client("sk-da-wrong") as stranger:
            error_of(stranger.get("/v1/data-sources"), 401, "invalid_api_key")


@pytest.mark.parametrize("emptied", [False, True])
def test_without_its_store_nothing_is_taken_for_an_orphan(tmp_path: Path, emptied: bool) -> None:
    with serving(data_dir=tmp_path) as server, server.client() as admin:
        file = admin.post("/v1/files", files={"file": ("a.csv", b"x\n1\n")}).json()
    for path in tmp_path.glob("store.sqlite*"):
        path.unlink()
    if emptied:
        (tmp_path / "store.sqlite").touch()
    with pytest.raises(StartupError, match="missing or empty"), serving(data_dir=tmp_path):
        pass
    assert (tmp_path / "files" / file["id"]).read_bytes() == b"x\n1\n"
