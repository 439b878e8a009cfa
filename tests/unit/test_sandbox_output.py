from __future__ import annotations

import json
import struct

from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.sandbox.inside.deepanalyze_kernel.bpf import Comparison, Rule, assemble
from deepanalyze.sandbox.messages import Message, Wire
from deepanalyze.sandbox.output import BlockOutput

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.text(max_size=200), max_size=20), st.integers(20, 400))
def test_output_keeps_head_and_tail_within_its_bound(texts: list[str], max_bytes: int) -> None:
    output = BlockOutput(max_bytes)
    for text in texts:
        output.add(text)
    plain = BlockOutput(10**6)
    for text in texts:
        plain.add(text)
    everything, kept = plain.text(), output.text()
    if output.truncated:
        head, _, rest = kept.partition("\n… ")
        tail = rest.partition(" bytes left out …\n")[2]
        assert everything.startswith(head) or "\n… " in everything
        assert everything.endswith(tail) or " bytes left out …\n" in everything
        assert len(kept.encode()) <= max_bytes + 60
    else:
        assert kept == everything


def test_colours_and_terminal_commands_are_taken_out() -> None:
    output = BlockOutput(1000)
    output.add("\x1b[31mred\x1b[0m \x1b]0;title\x07plain")
    assert output.text() == "red plain"


@given(_JSON, st.sampled_from(["stream", "error", "display_data", "execute_result", "status"]))
def test_no_content_breaks_the_collector(content: object, kind: str) -> None:
    wire = Wire("key")
    parts = [json.dumps(part).encode() for part in ({"msg_type": kind}, {"msg_id": "1"}, {}, content)]
    message = wire.unpack([b"<IDS|MSG>", wire._sign(parts), *parts])
    assert (message is not None) == isinstance(content, dict)
    if message is not None:
        BlockOutput(100).take(message)


def test_long_texts_are_read_and_what_takes_long_to_read_is_not() -> None:
    wire = Wire("key")

    def unpacked(content: bytes) -> Message | None:
        parts = [b'{"msg_type": "stream"}', b'{"msg_id": "1"}', b"{}", content]
        return wire.unpack([b"<IDS|MSG>", wire._sign(parts), *parts])

    text = '[{,"\\\n' * 50_000
    read = unpacked(json.dumps({"text": text}).encode())
    assert read is not None
    assert read.text("text") == text
    assert unpacked(b'{"text": "x", "a": [' + b"[]," * 300_000 + b"0]}") is None
    assert unpacked(b'{"text": "' + b"x" * 2 * 1024**2 + b'"}') is None
    assert unpacked(b'"' + b'\\"' * 300_000) is None


@given(st.lists(st.binary(max_size=30) | st.just(b"<IDS|MSG>"), max_size=8))
def test_frames_of_a_stranger_are_no_message(frames: list[bytes]) -> None:
    assert Wire("key").unpack(frames) is None


def test_what_is_packed_with_the_key_is_unpacked_with_it() -> None:
    _, frames = Wire("key").pack("execute_request", {"code": "1"})
    assert Wire("key").unpack(frames) == Message("execute_request", "", {"code": "1"})
    assert Wire("other").unpack(frames) is None


def test_the_filter_judges_number_architecture_and_arguments() -> None:
    program = assemble(
        [
            Rule(41, 13, (Comparison(0, 1, equal=False), Comparison(0, 2, equal=False))),
            Rule(16, 1, (Comparison(1, 0x5412),)),
            Rule(101, 1),
        ],
        architecture=0xC000003E,
        last_known=470,
    )
    assert _judge(program, 0) == _ALLOW
    assert _judge(program, 101) == _ERRNO | 1
    assert [_judge(program, 41, family) for family in (1, 2, 40)] == [_ALLOW, _ALLOW, _ERRNO | 13]
    assert [_judge(program, 16, 0, request) for request in (0x5412, 0x5413)] == [_ERRNO | 1, _ALLOW]
    assert _judge(program, 471) == _ERRNO | 38
    assert _judge(program, 0x4000_0000) == _ERRNO | 38
    assert _judge(program, 0, architecture=0x4000_0003) == 0x8000_0000


_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000


def _judge(program: bytes, number: int, *arguments: int, architecture: int = 0xC000003E) -> int:
    """Runs the filter as the kernel would."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=iIQ6Q", number, architecture, 0, *padded)
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x06:
                return int(value)
