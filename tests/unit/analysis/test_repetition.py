from __future__ import annotations

from deepanalyze.analysis.repetition import Repetition


def looked(*blocks: tuple[str, str]) -> list[str]:
    repetition = Repetition()
    told = (repetition.look(code, output) for code, output in blocks)
    return ["end" if each.why else "note" if each.note else "" for each in told]


def test_the_same_code_with_the_same_output() -> None:
    assert looked(*[("f()", "1")] * 3) == ["", "note", "end"]


def test_it_counts_also_when_it_is_not_in_a_row() -> None:
    a, b = ("f()", "1"), ("g()", "2")
    assert looked(a, b, a, b, a) == ["", "", "note", "note", "end"]


def test_comments_and_addresses_make_no_difference() -> None:
    assert looked(
        ("# first\nf()\n", "<object at 0x7f98c02dd2d0>"), ("f()  \n\n# again", "<object at 0x7f98c0251110>")
    ) == ["", "note"]


def test_code_that_waits_for_something_may_run_more_often() -> None:
    assert looked(*(("poll()", str(n)) for n in range(5))) == ["", "", "note", "", "end"]


def test_one_error_in_a_row() -> None:
    assert looked(*((f"try{n}()", "KeyError: 'b'") for n in range(5))) == ["", "", "note", "", "end"]
    mixed = [("a", "E"), ("b", "E"), ("c", "fine"), ("d", "E"), ("e", "E")]
    assert looked(*mixed) == [""] * 5


def test_silent_steps_are_no_repetition() -> None:
    assert looked(*((f"x = {n}", "") for n in range(9))) == [""] * 9


def test_a_third_thing_that_is_repeated_ends_it() -> None:
    pairs = [(f"f{n}()", str(n)) for n in range(3) for _ in range(2)]
    assert looked(*pairs) == ["", "note", "", "note", "", "end"]
