import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deepanalyze.datadir import announce, open_data_dir, served_at
from deepanalyze.errors import StartupError

HOLD = """
import sys
from pathlib import Path
from deepanalyze.datadir import open_data_dir
with open_data_dir(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_for_this_user_alone(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "data") as data_dir:
        passable = 0o711 if os.geteuid() == 0 else 0o700
        assert mode(data_dir.root) == mode(data_dir.threads) == passable
        assert mode(data_dir.files) == mode(data_dir.keys) == 0o700
        assert mode(data_dir.lock) == 0o600
        assert data_dir.store.parent == data_dir.root
        assert data_dir.key_file.parent == data_dir.keys


def test_a_directory_that_others_could_read_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "keys").mkdir(parents=True, mode=0o755)
    root.chmod(0o777)
    with open_data_dir(root) as data_dir:
        assert mode(data_dir.root) & 0o066 == 0
        assert mode(data_dir.keys) == 0o700


def test_a_second_server_is_told_who_holds_it(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with holder(root) as other:
        with pytest.raises(StartupError) as raised, open_data_dir(root):
            pass
        message = str(raised.value)
        assert f"{root} is in use by process {other.pid}" in message
        assert "--data-dir" in message
        assert "\n" not in message
    with open_data_dir(root):
        pass


def test_the_server_that_holds_it_says_where_it_answers(tmp_path: Path) -> None:
    root, url = tmp_path / "data", "http://127.0.0.1:8200"
    assert served_at(root) is None
    with open_data_dir(root):
        assert served_at(root) is None
        announce(root, url)
        assert served_at(root) == url
        with pytest.raises(StartupError, match=f"by process {os.getpid()}:"), open_data_dir(root):
            pass
    with open_data_dir(root):
        assert served_at(root) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_nobody_else_says_where_it_answers(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "data") as data_dir:
        announce(data_dir.root, "http://127.0.0.1:8200")
        os.chown(data_dir.lock, 65534, 65534)
        assert served_at(data_dir.root) is None


def test_a_killed_server_frees_it(tmp_path: Path) -> None:
    with holder(tmp_path / "data") as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        with open_data_dir(tmp_path / "data"):
            pass


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with (
        open_data_dir(tmp_path / "data"),
        pytest.raises(StartupError, match="in use by process"),
        open_data_dir(tmp_path / "data"),
    ):
        pass


def test_missing_parents_are_made_below_home_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(StartupError, match="does not exist"), open_data_dir(tmp_path / "typo" / "data"):
        pass
    assert not (tmp_path / "typo").exists()
    with open_data_dir(home / ".local" / "share" / "deepanalyze"):
        pass


def test_what_cannot_be_a_directory_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(0o644)
    for path in (file, file / "data", Path("/proc/deepanalyze")):
        with pytest.raises(StartupError, match="cannot be") as raised, open_data_dir(path):
            pass
        assert "\n" not in str(raised.value)
        assert str(path) in str(raised.value)
        assert path.name == "deepanalyze" or f"{file} is not a directory" in str(raised.value)
    assert mode(file) == 0o644


def test_a_directory_of_other_things_is_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    (home / "letters").touch()
    with pytest.raises(StartupError, match=r"holds other things \('letters'"), open_data_dir(home):
        pass
    assert mode(home) == 0o755
    assert [entry.name for entry in home.iterdir()] == ["letters"]


def test_what_lies_beside_the_state_does_not_disturb(tmp_path: Path) -> None:
    for name in ("demo", "lost+found", ".hidden"):
        (tmp_path / "data" / name).mkdir(parents=True)
    with open_data_dir(tmp_path / "data"):
        (tmp_path / "data" / "backup").touch()
    with open_data_dir(tmp_path / "data"):
        pass


class holder:
    """A process that holds the directory until the block ends."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self._root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
