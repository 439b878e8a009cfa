"""Taking out of a text what is known to be a secret by its value, whatever is around it: the net below redaction by
names and shapes.
"""

from __future__ import annotations

import base64
import json
import math
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

from deepanalyze.datasources.masking import MASK, secrets_in
from deepanalyze.errors import DeepAnalyzeError

MIN_CHARACTERS = 8  # shorter ones are in too much that is no secret
MAX_CHARACTERS = 8 * 1024
MAX_LINGERING = 10_000
LINGER_S = 10 * 60.0
"""For how long a secret is known that its owner no longer has: what is under way may still fail with it."""

# A text is probed at each fourth character: of eight or more, one probe lies inside, at one of four places.
_STRIDE = 4
_PROBE = MIN_CHARACTERS - _STRIDE + 1


class _Form(NamedTuple):
    """One way in which a value may be written."""

    text: str
    value: str
    is_word: bool  # and so may be a part of longer words that are no secret


class _Leaving(NamedTuple):
    until: float
    owner: str
    values: tuple[str, ...]


class KnownSecrets:
    """The secrets that each owner (a source by its id, the settings) has now, and for a while those it had before
    (`MAX_LINGERING` such entries at most). Safe from any thread; implements `datasources.sealing.SecretListener`.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, ...]] = {}
        self._leaving: deque[_Leaving] = deque()
        self._held: Counter[str] = Counter()  # by how many entries of the two above
        # By what a probe may find of them, so that a text is looked through once, however many there are
        self._probes: dict[str, tuple[_Form, ...]] = {}
        self._due_at = math.inf

    def keep(self, owner: str, values: Iterable[str]) -> None:
        """In place of what the owner had."""
        new = _worth_hiding(values)
        with self._lock:
            if self._kept.get(owner, ()) == new:
                return
            self._release(owner)
            if new:
                self._hold(new)
                self._kept[owner] = new

    def forget(self, owner: str) -> None:
        self.keep(owner, ())

    def trying(self, owner: str, values: Iterable[str]) -> None:
        """What may never become the owner's: known for `LINGER_S`."""
        new = _worth_hiding(values)
        with self._lock:
            self._hold(new)
            self._let_linger(owner, new)

    def hide(self, text: str, *, owner: str | None = None) -> str:
        """
        Args:
            owner: only this one's secrets. Who could have others' hidden from a text of their own making could guess.
        """
        if self._due_at <= self._clock():
            with self._lock:
                self._drop_what_is_due()
        starts = range(0, len(text) - _PROBE + 1, _STRIDE)
        ends = range(_PROBE, len(text) + 1, _STRIDE)
        probes = map(text.__getitem__, map(slice, starts, ends))
        hits = self._probes.keys() & probes if self._probes else ()
        if not hits:
            return text
        among = None if owner is None else self._values_of(owner)
        found = {
            form
            for hit in hits
            for form in self._probes.get(hit, ())
            if form.text in text and (among is None or form.value in among)
        }
        longest_first = sorted(found, key=lambda form: -len(form.text))
        return re.sub("|".join(map(_pattern, longest_first)), MASK, text) if found else text

    def clean(self, error: DeepAnalyzeError, owner: str) -> None:
        """Hides the owner's secrets in all that the error says."""
        error.message = self.hide(error.message, owner=owner)
        error.args = (error.message,)
        error.details = self._cleaned(error.details, owner)

    def _cleaned(self, value: Any, owner: str) -> Any:
        if isinstance(value, str):
            return self.hide(value, owner=owner)
        if isinstance(value, Mapping):
            return {name: self._cleaned(each, owner) for name, each in value.items()}
        return [self._cleaned(each, owner) for each in value] if isinstance(value, list | tuple) else value

    def _values_of(self, owner: str) -> set[str]:
        with self._lock:
            leaving = (left.values for left in self._leaving if left.owner == owner)
            return set(chain(self._kept.get(owner, ()), *leaving))

    # --- with the lock ------------------------------------------------------------------------------------------------

    def _release(self, owner: str) -> None:
        if values := self._kept.pop(owner, ()):
            self._let_linger(owner, values)

    def _let_linger(self, owner: str, values: tuple[str, ...]) -> None:
        self._leaving.append(_Leaving(self._clock() + LINGER_S, owner, values))
        self._drop_what_is_due()

    def _drop_what_is_due(self) -> None:
        now = self._clock()
        while self._leaving and (self._leaving[0].until <= now or len(self._leaving) > MAX_LINGERING):
            self._let_go(self._leaving.popleft().values)
        self._due_at = self._leaving[0].until if self._leaving else math.inf

    def _hold(self, values: tuple[str, ...]) -> None:
        for value in values:
            self._held[value] += 1
            if self._held[value] == 1:
                for probe, form in _probes(value):
                    self._probes[probe] = (*self._probes.get(probe, ()), form)

    def _let_go(self, values: tuple[str, ...]) -> None:
        for value in values:
            self._held[value] -= 1
            if not self._held[value]:
                del self._held[value]
                for probe in {probe for probe, _ in _probes(value)}:
                    self._probes[probe] = tuple(form for form in self._probes[probe] if form.value != value)
                    if not self._probes[probe]:
                        del self._probes[probe]


def _worth_hiding(values: Iterable[str]) -> tuple[str, ...]:
    """With the secrets that stand in them: in a URL, a connection string."""
    whole = list(values)
    every = dict.fromkeys(chain(whole, *map(secrets_in, whole)))
    return tuple(value for value in every if MIN_CHARACTERS <= len(value) <= MAX_CHARACTERS)


def _probes(value: str) -> Iterator[tuple[str, _Form]]:
    return ((form.text[n : n + _PROBE], form) for form in _forms(value) for n in range(_STRIDE))


def _forms(value: str) -> Iterator[_Form]:
    """As it is, percent-encoded, escaped, and in base64, also as part of something longer."""
    is_word = value.isalpha() or value.isdigit()
    escaped = (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    plain = value.encode("utf-8", "surrogatepass")
    yield from {
        _Form(text, value, is_word) for text in (value, quote(plain, safe=""), quote_plus(plain), *escaped)
    }
    for offset, first in enumerate((0, 2, 3)):
        for altchars in (None, b"-_"):
            coded = base64.b64encode(b"\0" * offset + plain, altchars)
            yield _Form(coded[first : (offset + len(plain)) * 8 // 6].decode(), value, False)


def _pattern(form: _Form) -> str:
    text = re.escape(form.text)
    return rf"(?<![A-Za-z0-9]){text}(?![A-Za-z0-9])" if form.is_word else text
