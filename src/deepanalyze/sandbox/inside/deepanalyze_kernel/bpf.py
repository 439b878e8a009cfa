"""Assembles classic BPF for seccomp: a list of rules becomes a program that the kernel runs before every call."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LOAD_WORD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP_EQUAL, _JUMP_GREATER_EQUAL = 0x15, 0x35
# struct seccomp_data {int nr; u32 arch; u64 instruction_pointer; u64 args[6];}
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_ALL_BITS = 0xFFFF_FFFF
_ENOSYS = 38


@dataclass(frozen=True)
class Comparison:
    """Compares the low half of an argument: every call judged here takes an int or flags of 32 bits there."""

    argument: int
    value: int
    equal: bool = True
    mask: int = _ALL_BITS


@dataclass(frozen=True)
class Rule:
    """The call `number` fails with `errno` when every test holds; errno 0 pretends that it succeeded."""

    number: int
    errno: int
    when: Sequence[Comparison] = ()


def assemble(rules: Iterable[Rule], *, architecture: int, last_known: int) -> bytes:
    """Everything is allowed but what a rule refuses, and calls newer than `last_known`, which nobody has judged."""
    program = [
        _instruction(_LOAD_WORD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD_WORD, _NUMBER),
        _instruction(_JUMP_GREATER_EQUAL, last_known + 1, 0, 1),
        _instruction(_RETURN, _ERRNO | _ENOSYS),
    ]
    for rule in rules:
        body = _body(rule)
        program += [_instruction(_JUMP_EQUAL, rule.number, 0, len(body)), *body]
    program.append(_instruction(_RETURN, _ALLOW))
    return b"".join(program)


def _body(rule: Rule) -> list[bytes]:
    end = [_instruction(_RETURN, _ERRNO | rule.errno)]
    if not rule.when:
        return end
    end.append(_instruction(_LOAD_WORD, _NUMBER))  # where a failed test jumps to
    body: list[bytes] = []
    for test in reversed(rule.when):
        to_reload = len(body) + 1
        jumps = (0, to_reload) if test.equal else (to_reload, 0)
        load = [_instruction(_LOAD_WORD, _FIRST_ARGUMENT + 8 * test.argument)]
        if test.mask != _ALL_BITS:
            load.append(_instruction(_AND, test.mask))
        body = [*load, _instruction(_JUMP_EQUAL, test.value, *jumps), *body]
    return body + end


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
