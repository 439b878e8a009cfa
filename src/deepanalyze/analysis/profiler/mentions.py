"""Which columns, tables and calendar parts a question names, and where in the question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepanalyze.analysis.profiler.facts import Column, Data, Table
from deepanalyze.analysis.profiler.lexicon import MONTHS, NUMBER_WORDS, STOP_WORDS, TOPICS
from deepanalyze.analysis.profiler.words import Word, closeness, name_words, normalise, stem, words_of

FULL = 0.75
CALENDAR_WORDS = {
    "hour": "hour", "hourly": "hour", "day": "day", "daily": "day", "weekday": "weekday", "week": "week",
    "weekly": "week", "month": "month", "monthly": "month", "quarter": "quarter", "quarterly": "quarter",
    "year": "year", "yearly": "year", "annual": "year", "annually": "year",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mention:
    """`words` are positions in the question. `columns` are the columns that it may mean, likeliest first; a mention
    of a whole table (or topic) has its `table` instead, one of a part of the calendar its `calendar`."""

    words: frozenset[int]
    columns: tuple[Column, ...] = ()
    table: Table | None = None
    calendar: str | None = None
    score: float = 0.0

    @property
    def first(self) -> int:
        return min(self.words)


@dataclass(frozen=True, slots=True)
class Reading:
    question: str
    normalised: str
    words: Sequence[Word]
    mentions: Sequence[Mention]
    strangers: Sequence[str]  # words that mean nothing here

    def within(self, start: int, end: int) -> list[Mention]:
        return [m for m in self.mentions if start <= m.first < end]


def read_question(question: str, data: Data) -> Reading:
    normalised = normalise(question)
    words = words_of(normalised)
    taken = set(units_after_numbers(words))
    tables = {name_words(name) for name in data.tables}
    columns = [c for c in data.columns if is_asked_for(c, tables)]
    mentions = column_mentions(normalised, words, columns, taken, least=FULL)
    mentions += table_mentions(words, data, taken)
    mentions += column_mentions(normalised, words, columns, taken, least=0.3)
    mentions += topic_mentions(words, data, taken)
    mentions += calendar_mentions(words, taken)
    values = {w.text for hit in data.hits for w in words_of(normalise(hit.value))}
    strangers = [
        w.text for i, w in enumerate(words) if i not in taken and is_content(w) and w.text not in values
    ]
    return Reading(question, normalised, words, sorted(mentions, key=lambda m: m.first), strangers)


def is_asked_for(column: Column, tables: set[tuple[str, ...]]) -> bool:
    """In the table flights, "flights" are its rows: neither the id `flight` nor a count of flights elsewhere."""
    names = name_words(column.name)
    if names == name_words(column.table):
        return column.kind != "id"
    return names not in tables or column.kind not in ("id", "number")


def units_after_numbers(words: Sequence[Word]) -> Iterable[int]:
    """In "more than 60 minutes" nobody asks for the column `minute`."""
    for i, word in enumerate(words[1:], 1):
        if words[i - 1].text[0].isdigit() and (word.stem in CALENDAR_WORDS or word.stem == "minute"):
            yield i


def is_content(word: Word) -> bool:
    plain = word.text not in STOP_WORDS and word.stem not in STOP_WORDS and word.text not in NUMBER_WORDS
    return plain and word.text not in MONTHS and word.text[0].isalpha() and len(word.text) > 2


def column_mentions(
    normalised: str, words: Sequence[Word], columns: Iterable[Column], taken: set[int], *, least: float
) -> list[Mention]:
    """Takes the best fits first; columns that fit the same words equally well share one mention."""
    fits = []
    for column in columns:
        if column.kind == "empty" or column.name == "source_file":
            continue
        score, positions = fit(normalised, words, column, taken)
        if score >= least and positions:
            fits.append((score, len(positions), column, positions))
    fits.sort(key=lambda f: (-f[1] * f[0], -f[0]))
    mentions: list[Mention] = []
    for score, _, column, positions in fits:
        same = next((i for i, m in enumerate(mentions) if m.words == positions), None)
        if same is not None:
            if score >= mentions[same].score - 0.25:
                known = mentions[same]
                mentions[same] = Mention(known.words, (*known.columns, column), score=known.score)
        elif not positions & taken:
            mentions.append(Mention(positions, (column,), score=score))
            taken |= positions
    return mentions


def fit(
    normalised: str, words: Sequence[Word], column: Column, taken: set[int]
) -> tuple[float, frozenset[int]]:
    """How much of the column's name the question says (over 1 when literally), and with which of its words."""
    raw = column.name.lower()
    names = name_words(column.name)
    if ("_" in raw and raw in normalised) or (not raw.isascii() and raw in normalised):
        positions = frozenset(i for i, w in enumerate(words) if w.stem in map(stem, words_stems(raw)))
        return 2.0, positions - taken
    total, positions_found = 0.0, set()
    table = name_words(column.table)
    for name in names:
        scores = [
            (closeness(w.stem, name), -i) for i, w in enumerate(words) if i not in taken and asks(w, raw)
        ]
        best, position = max(scores, default=(0.0, 0))
        if best:
            total += best
            positions_found.add(-position)
        else:  # "air time": a plain word counts beside one that was found
            beside = [
                i for p in positions_found for i in (p - 1, p + 1) if 0 <= i < len(words) and i not in taken
            ]
            found = next((i for i in beside if words[i].stem == name), None)
            if found is not None:
                total += 1
                positions_found.add(found)
    if names == ("name",) and positions_found:  # "airline name" means airlines.name
        near = [
            i
            for i, w in enumerate(words)
            if any(closeness(w.stem, t) >= 0.8 for t in table) and i not in taken
        ]
        if not near:
            return 0.3, frozenset(positions_found)
        positions_found.add(near[0])
    return total / max(1, len(names)), frozenset(positions_found)


def words_stems(raw: str) -> list[str]:
    return [w.stem for w in words_of(raw)]


def asks(word: Word, raw: str) -> bool:
    """Whether a word may name a column: plain words of a question only when they are the column's whole name."""
    return word.text[0].isalnum() and (is_content(word) or raw in (word.text, word.stem))


def table_mentions(words: Sequence[Word], data: Data, taken: set[int]) -> list[Mention]:
    mentions = []
    for table in data.tables.values():
        names = [n for n in name_words(table.name) if n not in STOP_WORDS]
        for i, word in enumerate(words):
            if i not in taken and is_content(word) and any(closeness(word.stem, n) >= 0.85 for n in names):
                mentions.append(Mention(frozenset({i}), table=table, score=1.0))
    taken |= {i for m in mentions for i in m.words}
    return mentions


def topic_mentions(words: Sequence[Word], data: Data, taken: set[int]) -> list[Mention]:
    """ "weather" stands for temperature, wind and so on where no table or column has that name."""
    mentions = []
    for i, word in enumerate(words):
        topic = TOPICS.get(word.stem, frozenset())
        members = tuple(
            c for c in data.columns if any(closeness(t, n) >= 0.85 for t in topic for n in name_words(c.name))
        )
        if members and i not in taken:
            mentions.append(Mention(frozenset({i}), members, table=data.tables[members[0].table], score=0.7))
            taken.add(i)
    return mentions


def calendar_mentions(words: Sequence[Word], taken: set[int]) -> list[Mention]:
    """Parts of the calendar that no column is named after: they can be read off a date."""
    mentions = []
    for i, word in enumerate(words):
        part = CALENDAR_WORDS.get(word.stem)
        if part and i not in taken:
            if part == "day" and [w.text for w in words[i + 1 : i + 4]][-2:] == ["the", "week"]:
                part = "weekday"
            mentions.append(Mention(frozenset({i}), calendar=part))
            taken.add(i)
    return mentions
