from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deepanalyze.audit.noted import HeadFile, NotedHead


def test_two_may_write_at_the_same_time(tmp_path: Path) -> None:
    file = HeadFile(tmp_path / "head")
    heads = [NotedHead(n, f"{n:064x}") for n in range(1, 50)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(file.write, heads))
    assert file.read() in heads
    assert [path.name for path in tmp_path.iterdir()] == ["head"]
