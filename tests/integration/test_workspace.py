"""A workspace whose owner is hostile."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepanalyze.datasources import beneath
from deepanalyze.errors import InvalidRequest, NotFound, QuotaExceeded
from deepanalyze.workspace import DiskUsage, Workspace
from tests.support.sandbox import made_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with made_workspace(tmp_path) as workspace:
        yield workspace


def _staged(workspace: Workspace, content: str = "x") -> Path:
    path = workspace.staging / "staged"
    path.write_text(content)
    return path


def test_taken_names_get_numbers_and_nothing_is_overwritten(workspace: Workspace) -> None:
    names = [workspace.adopt(_staged(workspace, str(i)), "a/x.csv") for i in range(3)]
    assert names == ["a/x.csv", "a/x-2.csv", "a/x-3.csv"]
    assert workspace.adopt(_staged(workspace), "b/x.csv") == "b/x.csv"
    assert [(workspace.root / name).read_text() for name in names] == ["0", "1", "2"]


def test_an_adopted_file_belongs_to_the_code(workspace: Workspace) -> None:
    name = workspace.adopt(_staged(workspace), "folder/x.csv")
    for path in (workspace.root, workspace.root / "folder", workspace.root / name):
        assert path.stat().st_uid == (
            workspace.owner_uid if workspace.owner_uid is not None else os.geteuid()
        )
        assert path.stat().st_mode & 0o077 == 0


def test_a_planted_folder_link_is_not_followed(workspace: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (workspace.root / "weather").symlink_to(outside)
    assert workspace.adopt(_staged(workspace), "weather/01.csv") == "weather-2/01.csv"
    assert not list(outside.iterdir())


def test_a_name_that_leads_out_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InvalidRequest):
        workspace.adopt(_staged(workspace), "../x")
    with pytest.raises(NotFound):
        workspace.open("../staging/staged")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.text(st.characters(), min_size=1, max_size=80))
def test_every_adopted_name_can_be_opened(workspace: Workspace, name: str) -> None:
    try:
        adopted = workspace.adopt(_staged(workspace, "content"), name)
    except InvalidRequest:
        return
    descriptor, file = workspace.open(adopted)
    with open(descriptor, "rb") as opened:
        assert opened.read() == b"content"
    assert file.name == adopted
    assert file in workspace.list()


def test_hidden_files_are_not_shown_but_count(workspace: Workspace) -> None:
    (workspace.root / ".cache").write_bytes(b"x" * 1000)
    (workspace.root / "seen").write_bytes(b"x" * 500)
    assert [file.name for file in workspace.list()] == ["seen"]
    assert workspace.size() == 1500
    with pytest.raises(NotFound):
        workspace.open(".cache")


def test_nothing_lies_too_deep_or_is_too_small_to_count(workspace: Workspace) -> None:
    parent = os.open(workspace.root, os.O_RDONLY)
    for _ in range(3000):  # more than a path of the system could name
        os.mkdir("folder", dir_fd=parent)
        folder = os.open("folder", os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = folder
    with open(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=parent), "wb") as file:
        file.write(b"x" * 10**6)
    os.close(parent)
    for n in range(100):
        (workspace.root / f"empty-{n}").touch()
    (workspace.root / "link").symlink_to("/usr")
    folders_and_files = workspace.size() - 10**6
    assert 3101 * 256 <= folders_and_files < 3101 * 5000
    workspace.delete()


def test_names_that_are_no_text_are_left_out(workspace: Workspace) -> None:
    os.close(os.open(os.fsencode(workspace.root) + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY))
    assert list(workspace.list()) == []


def test_changes_are_seen_even_when_their_times_are_forged(workspace: Workspace) -> None:
    for name in ("same", "rewritten", "gone"):
        (workspace.root / name).write_text("old")
    os.utime(workspace.root / "rewritten", (1, 1))
    before = workspace.snapshot()
    (workspace.root / "rewritten").write_text("new")
    os.utime(workspace.root / "rewritten", (1, 1))
    (workspace.root / "gone").unlink()
    (workspace.root / "new").write_text("new")
    assert [file.name for file in workspace.changes_since(before)] == ["new", "rewritten"]


def test_a_file_swapped_for_a_link_is_never_served(workspace: Workspace, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    target, stop = workspace.root / "file", threading.Event()

    def swap() -> None:
        while not stop.is_set():
            link, plain = workspace.root / "link", workspace.root / "plain"
            link.symlink_to(secret)
            link.replace(target)
            plain.write_text("plain")
            plain.replace(target)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        served = 0
        for _ in range(2000):
            try:
                descriptor, _ = workspace.open("file")
            except NotFound:
                continue
            with open(descriptor) as file:
                assert file.read() in ("plain", "")
            served += 1
    finally:
        stop.set()
        thread.join()
    assert served


def test_walking_by_hand_is_as_strict(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.root / "folder").mkdir()
    (workspace.root / "folder" / "file").write_text("x")
    (workspace.root / "link").symlink_to(tmp_path)
    (workspace.root / "folder" / "link").symlink_to(tmp_path / "x")
    with beneath.closing(os.open(workspace.root, beneath.DIRECTORY)) as root:
        os.close(beneath._open_by_hand(root, "folder/file", beneath.REGULAR_FILE))
        for name in ("link/x", "folder/link", "../thread", "/etc/passwd", "folder/../folder/file"):
            with pytest.raises(OSError, match=r"\[Errno"):
                beneath._open_by_hand(root, name, beneath.REGULAR_FILE)


def test_deleting_takes_closed_deep_and_linked_things_and_nothing_outside(
    workspace: Workspace, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    closed = workspace.root / "closed"
    (closed / "inner").mkdir(parents=True)
    (closed / "inner" / "file").write_text("x")
    (closed / "inner").chmod(0)
    closed.chmod(0)
    (workspace.root / "link").symlink_to(outside)
    _make_deep(workspace.root, 1500)
    workspace.delete()
    assert not workspace.root.exists()
    assert not workspace.staging.exists()
    assert (outside / "kept").read_text() == "kept"
    workspace.delete()


def _make_deep(root: Path, depth: int) -> None:
    directory = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=directory)
        inner = os.open("deep", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = inner
    os.close(directory)


def test_what_is_adopted_and_removed_counts_for_its_user(tmp_path: Path) -> None:
    usage = DiskUsage(max_bytes_per_user=100)
    for place, user in (("thread-1", "ada"), ("thread-2", "ada"), ("thread-3", "bob")):
        usage.register(place, user)
    made = {place: _counted(tmp_path, usage, place) for place in ("thread-1", "thread-2", "thread-3")}
    made["thread-1"].adopt(_staged(made["thread-1"], "x" * 60), "a.csv")
    with pytest.raises(
        QuotaExceeded, match=r"60 bytes of the 100 .*\(max_workspace_bytes_per_user\), and 50 more"
    ):
        made["thread-2"].adopt(_staged(made["thread-2"], "x" * 50), "b.csv")
    assert made["thread-2"].list() == []
    made["thread-3"].adopt(_staged(made["thread-3"], "x" * 50), "b.csv")
    with pytest.raises(InvalidRequest):
        made["thread-2"].adopt(_staged(made["thread-2"], "x" * 30), "..")
    assert (usage.taken("ada"), usage.taken("bob")) == (60, 50)
    made["thread-1"].remove("a.csv")
    made["thread-1"].remove("no.csv")
    assert usage.taken("ada") == 0
    (made["thread-2"].root / "by code").write_bytes(b"x" * 101)
    assert not made["thread-2"].measure().within_quota
    with pytest.raises(QuotaExceeded):
        usage.check("ada")
    usage.forget("thread-2")
    usage.check("ada")
    assert made["thread-1"].measure().within_quota


def _counted(tmp_path: Path, usage: DiskUsage, place: str) -> Workspace:
    made = Workspace(tmp_path / place / "work", tmp_path / place / "staging", usage=usage, place=place)
    made.create()
    return made
