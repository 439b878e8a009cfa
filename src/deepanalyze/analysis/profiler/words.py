"""How close a question's words come to the words of a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from deepanalyze.analysis.profiler.lexicon import ABBREVIATIONS, CHINESE, SYNONYMS

MAX_QUESTION = 2000
WORD = re.compile(r"[^\W_]+(?:[.,]\d+)?|[<>=]=?|≥|≤")


@dataclass(frozen=True, slots=True)
class Word:
    """`start` is where the word stands in the normalised question."""

    text: str
    stem: str
    start: int


def normalise(question: str) -> str:
    """One line of lower-case English words, as far as the lexicon knows them."""
    text = " ".join(question[:MAX_QUESTION].split()).lower()
    for chinese, english in CHINESE:
        text = text.replace(chinese, english)
    return re.sub(r"\bdays? of (the )?week\b", "weekday", text)


def words_of(normalised: str) -> list[Word]:
    spread = normalised.replace("_", " ").replace("-", " ")
    return [Word(m.group(), stem(m.group()), m.start()) for m in WORD.finditer(spread)]


@cache
def stem(word: str) -> str:
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + replacement
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word


@cache
def name_words(name: str) -> tuple[str, ...]:
    """The words of a column's or a table's name: `sched_dep_time`, `unitPrice`, `Total Sales (EUR)`."""
    spread = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ")
    return tuple(stem(ABBREVIATIONS.get(w, w)) for w in re.findall(r"[^\W_]+", normalise(spread)))


@cache
def closeness(asked: str, named: str) -> float:
    """1 for the same word, less for a shortened one or a synonym, 0 for strangers. Both are stems."""
    asked = stem(ABBREVIATIONS.get(asked, asked))
    if asked == named:
        return 1.0
    shorter, longer = sorted((asked, named), key=len)
    if len(shorter) >= 4 and longer.startswith(shorter) and len(longer) - len(shorter) <= 5:
        return 0.9
    if len(shorter) == 3 and shorter == named and longer.startswith(shorter):
        return 0.85
    if any(asked in group and named in group for group in SYNONYMS):
        return 0.8
    return 0.6 if len(asked) >= 4 and asked in named else 0.0
