from __future__ import annotations

from deepanalyze.analysis.fences import code_of, fences
from deepanalyze.analysis.protocol import blocks


def test_a_lone_quote_ends_with_its_line() -> None:
    [fence] = fences('```python\nprint(it\'s) # """\nx = 1\n```\nprose')
    assert fence.body == 'print(it\'s) # """\nx = 1\n'


# Read in a time that grows with the square of their length, these would take many minutes.


def test_a_line_of_escaped_quotes_is_read_once() -> None:
    line = 'x = "' + '\\"' * 300_000
    assert code_of(f"```python\n{line}\n```") == line


def test_code_that_is_full_of_tags_is_read_in_reasonable_time() -> None:
    text = "<Code>\n```python\n" + "\n<File>" * 30_000 + "\n```\n</Code>"
    [block] = blocks(text)
    assert block.tag == "Code"
    assert block.closed
