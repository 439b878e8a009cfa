"""What one analysis may use: time, model calls, tokens and money. Each limit is seen coming, so that the last of it
pays for an answer.
"""

from __future__ import annotations

from deepanalyze.analysis.limits import LoopLimits
from deepanalyze.analysis.models.base import Prices, TokenUsage

CHARS_PER_TOKEN = 3  # on the safe side: prose has about four, code and numbers about three

_ANSWER_SHARE = 0.1  # of the time, for the answer
_MAX_ANSWER_S = 60.0
_ANSWER_TOKENS = 1_000  # what an answer may take beside the prompt


class Budget:
    """`now` is always the event loop's clock, in seconds.

    Tokens are counted as the model server tells them; where it tells none, they are estimated from the text, because a
    limit that a silent server lifts would be none.

    Args:
        max_output_tokens: what the client allows for all that the model writes, None for no limit.
    """

    def __init__(self, limits: LoopLimits, max_output_tokens: int | None, *, now: float) -> None:
        self.rounds = 0
        self.usage = TokenUsage()  # as told
        self.cost = 0.0
        self._limits = limits
        self._max_output_tokens = max_output_tokens
        self._last_deadline = now + limits.max_analysis_s
        self._counted = TokenUsage()
        self._last_call = TokenUsage()
        self._last_cost = 0.0

    def deadline(self, *, last: bool) -> float:
        """When a model call has to end, and any code; the last call has the time that was kept for it."""
        kept = min(self._limits.max_analysis_s * _ANSWER_SHARE, _MAX_ANSWER_S)
        return self._last_deadline if last else self._last_deadline - kept

    def spend(self, told: TokenUsage, *, read_chars: int, written_chars: int, prices: Prices | None) -> None:
        """Counts one model call."""
        estimated = TokenUsage(read_chars // CHARS_PER_TOKEN, written_chars // CHARS_PER_TOKEN)
        self._last_call = told if told.total_tokens else estimated
        self._last_cost = prices.cost(self._last_call) if prices else 0.0
        self.usage += told
        self._counted += self._last_call
        self.cost += self._last_cost

    @property
    def output_tokens_left(self) -> int | None:
        """Of what the client allows."""
        if self._max_output_tokens is None:
            return None
        return max(0, self._max_output_tokens - self._counted.completion_tokens)

    @property
    def max_reply_chars(self) -> int | None:
        """Where to stop reading a reply that has no end. Generous: what is really used is known only afterwards."""
        limit = self._limits.max_analysis_tokens
        return max(1, limit - self._counted.total_tokens) * 2 * CHARS_PER_TOKEN if limit else None

    def used_up(self, now: float) -> str | None:
        """Why there cannot be another model call."""
        if self.rounds >= self._limits.max_rounds:
            return f"after {self.rounds} rounds (max_rounds)"
        return self._reached(calls=0, now=now, last=True) or self._output_is_over()

    def nearly_used_up(self, now: float) -> str | None:
        """Why the next model call has to be the last one, whatever it wants to run."""
        if self.rounds + 1 == self._limits.max_rounds:
            return f"because round {self.rounds + 1} is the last (max_rounds)"
        return self._reached(calls=2, now=now, last=False)

    def time_is_up(self) -> str:
        return f"after {self._limits.max_analysis_s:g} s (max_analysis_s)"

    def _reached(self, *, calls: int, now: float, last: bool) -> str | None:
        """With as many calls more as the last one was."""
        limits, coming = self._limits, self._last_call.total_tokens + _ANSWER_TOKENS
        if now >= self.deadline(last=last):
            return self.time_is_up()
        if (
            limits.max_analysis_tokens
            and self._counted.total_tokens + calls * coming >= limits.max_analysis_tokens
        ):
            return f"after {self._counted.total_tokens:,} tokens (max_analysis_tokens)"
        if limits.max_analysis_cost and self.cost + calls * self._last_cost >= limits.max_analysis_cost:
            return f"after a cost of {self.cost:.4g} (max_analysis_cost)"
        return None

    def _output_is_over(self) -> str | None:
        if self.output_tokens_left != 0:
            return None
        return f"after {self._counted.completion_tokens:,} tokens of output (max_completion_tokens of the request)"
