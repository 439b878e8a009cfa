"""Each record's MAC covers its whole content and the MAC before it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from deepanalyze.audit.records import Entry, Mark, MarkName, Record

_PURPOSE = b"deepanalyze audit trail"
START = ""  # what stands for the MAC before the first record


class Chain:
    """
    Args:
        secrets: what keys are derived from. The first seals; each of them is accepted.
        earlier: keys (not secrets) of before the encryption key was rotated: records may be sealed with them, marks may
            not. As every record's MAC covers the one before, the head's signature covers all that is older, so that
            whoever has an earlier key can change nothing.
    """

    def __init__(self, secrets: Sequence[bytes], earlier: Sequence[bytes] = ()) -> None:
        self._keys = [hmac.digest(secret, _PURPOSE, hashlib.sha256) for secret in secrets]
        self._all_keys = list(dict.fromkeys((*self._keys, *earlier)))

    @property
    def earlier(self) -> Sequence[bytes]:
        """All keys but the one that seals: what is needed to verify records once the secrets are gone."""
        return self._all_keys[1:]

    def extend(self, head: Mark | None, entries: Sequence[Entry]) -> tuple[list[Record], Mark]:
        """Behind a head that was tampered with nothing follows from it: verification goes on to tell."""
        sequence = 0 if head is None else head.sequence
        mac = START if head is None or not self.signed(head) else head.mac
        records = []
        for entry in entries:
            sequence += 1
            mac = _mac(self._keys[0], canonical(sequence, mac, entry))
            records.append(Record(sequence, entry, mac))
        return records, self.sign("head", sequence, mac)

    def sign(self, name: MarkName, sequence: int, mac: str) -> Mark:
        return Mark(name, sequence, mac, _mac(self._keys[0], _marked(name, sequence, mac)))

    def renewed(self, mark: Mark) -> Mark:
        """Signed with the first key, if it was signed at all."""
        return self.sign(mark.name, mark.sequence, mark.mac) if self.signed(mark) else mark

    def follows(self, previous: str, record: Record) -> bool:
        """Whether the record is as it was written, right after the one whose MAC is `previous`."""
        return _is_of(self._all_keys, canonical(record.sequence, previous, record.entry), record.mac)

    def signed(self, mark: Mark) -> bool:
        return _is_of(self._keys, _marked(mark.name, mark.sequence, mark.mac), mark.signature)

    def keyed_digest(self, text: str) -> str:
        """The same for the same text, and no way back to it without the key."""
        return _mac(self._keys[0], _json(["text", text]))[:16]


def canonical(sequence: int, previous: str, entry: Entry) -> bytes:
    """Unambiguous, whatever the fields hold."""
    fields = astuple(entry)
    if fields[-2:] == (None, None):  # as the records of a trail that is older than objects are sealed
        fields = fields[:-2]
    return _json(["record", sequence, previous, *fields])


def _marked(name: MarkName, sequence: int, mac: str) -> bytes:
    return _json(["mark", name, sequence, mac])


def _json(content: list[Any]) -> bytes:
    """A database that was tampered with may hold values of any type: these are told apart, too."""
    return json.dumps(content, default=repr).encode()


def _is_of(keys: Sequence[bytes], content: bytes, mac: Any) -> bool:
    given = str(mac).encode(errors="replace")
    return any(hmac.compare_digest(_mac(key, content).encode(), given) for key in keys)


def _mac(key: bytes, content: bytes) -> str:
    return hmac.digest(key, content, hashlib.sha256).hex()
