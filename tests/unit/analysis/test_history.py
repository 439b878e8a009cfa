from __future__ import annotations

import pytest

from deepanalyze.analysis.conversation import Turn
from deepanalyze.analysis.history import continued
from deepanalyze.analysis.records import MessageRecord
from deepanalyze.analysis.transcript import execute_block
from deepanalyze.errors import InvalidRequest

ANSWER = "<Code>\n1\n</Code>" + execute_block("1") + "<Answer>one</Answer>"
AS_TURNS = [
    Turn("assistant", "<Code>\n1\n</Code>"),
    Turn("execute", "1"),
    Turn("assistant", "<Answer>one</Answer>"),
]
FIRST, SECOND = Turn("user", "First?"), Turn("user", "Second?")


def stored(*turns: Turn) -> list[MessageRecord]:
    return [MessageRecord("thread-1", n, t.role, t.content, 0) for n, t in enumerate(turns, start=1)]


THREAD = stored(FIRST, Turn("assistant", ANSWER))


def test_a_client_may_send_only_what_is_new() -> None:
    talk = continued(THREAD, [SECOND])
    assert talk.turns == [FIRST, *AS_TURNS, SECOND]
    assert talk.new == [SECOND]


def test_a_client_may_send_the_whole_conversation_again() -> None:
    talk = continued(THREAD, [FIRST, Turn("assistant", "one"), SECOND])
    assert talk.turns == [FIRST, *AS_TURNS, SECOND]
    assert talk.new == [SECOND]


def test_an_edited_conversation_counts_as_the_client_has_it() -> None:
    edited = Turn("user", "First, but better?")
    talk = continued(THREAD, [edited, Turn("assistant", ANSWER), SECOND])
    assert talk.turns == [edited, *AS_TURNS, SECOND]
    assert talk.new == [SECOND]


def test_without_a_thread_the_clients_conversation_is_all_there_is() -> None:
    talk = continued([], [FIRST, Turn("assistant", ANSWER), SECOND])
    assert talk.turns == [FIRST, *AS_TURNS, SECOND]


def test_a_question_asked_twice_in_a_row_counts_once_when_it_got_no_answer() -> None:
    assert continued(stored(FIRST), [FIRST]).turns == [FIRST]
    assert continued(THREAD, [FIRST]).turns == [FIRST, *AS_TURNS, FIRST]


def test_the_newest_system_message_counts_and_is_kept() -> None:
    old, new = Turn("system", "Be brief."), Turn("system", "Be verbose.")
    assert continued(stored(old, FIRST, Turn("assistant", "one")), [SECOND]).turns[0] == old
    talk = continued(stored(old, FIRST, Turn("assistant", "one")), [new, SECOND])
    assert [t for t in talk.turns if t.role == "system"] == [new]
    assert talk.new == [new, SECOND]


@pytest.mark.parametrize("sent", [[], [FIRST, Turn("assistant", "one")]])
def test_the_last_message_has_to_be_the_users(sent: list[Turn]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        continued([], sent)
    assert caught.value.param == "messages"
