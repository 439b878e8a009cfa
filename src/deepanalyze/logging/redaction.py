"""Taking secrets out of a log record: by the name of the field, by the shapes that secrets have in text, and by their
values where these are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from deepanalyze.datasources.masking import MASK, is_secret_name, mask_text

_MAX_DEPTH = 8
_MAX_TEXT = 16 * 1024
_QUOTED_OR_WORD = r"""(?:'(?:[^'\\]|\\.){0,8192}'|"(?:[^"\\]|\\.){0,8192}"|[^\s,;&'"(){}\[\]]{2,})"""

# What is wrong with a parameter or setting, in words of ours that never hold its value: `config.password: is missing`.
_OUR_WORDS = r"(?!(?<=config\.)\w{1,64}: |\w{1,64}: a key )"

# Each keeps its group `head` and masks the rest. Lengths are bounded, so that hostile text costs little time.
_PATTERNS = (
    # Up to the last @ of the word: careless URLs carry passwords with @ and / in them.
    re.compile(
        r"(?P<head>\b[a-z][a-z0-9+.-]{0,20}://[^\s/?#@:'\"]{0,256}:)[^\s'\"<>]{0,512}(?=@)", re.IGNORECASE
    ),
    re.compile(r"(?P<head>)\bgAAAAA[A-Za-z0-9_-]{50,}=*"),  # Fernet token
    re.compile(r"(?P<head>)(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}=(?![A-Za-z0-9_=-])"),  # Fernet key
    re.compile(r"(?P<head>)\bsk-[A-Za-z0-9_-]{8,}"),  # API keys, ours and others'
    # JSON web token
    re.compile(r"(?P<head>)(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(r"(?P<head>\b(?:Bearer|SharedKey|SharedKeyLite)\s+)[^\s'\",]{8,}", re.IGNORECASE),
    re.compile(
        r"(?P<head>\b(?:proxy-)?(?:authorization|api-key|x-api-key|cookie|set-cookie)['\"]?\s*[:=]\s*"
        r"(?:b?['\"])?(?:(?:Basic|Bearer|SharedKey)\s+)?)[^\s'\",]+",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?P<head>\b{_OUR_WORDS}"
        r"\w{0,64}(?:password|passwd|pwd|passphrase|secret|(?:account|access|api|shared|encryption)[_-]?key"
        r"|connection[_-]?string|(?:access|refresh|sas|api|auth)[_-]?token)['\"]?\s*[=:]\s*)"
        r"(?!\s)(?:SecretStr\()?" + _QUOTED_OR_WORD,
        re.IGNORECASE,
    ),
    re.compile(r"(?P<head>\bSharedAccessSignature\s*=\s*)[^\s;'\"]+", re.IGNORECASE),
    re.compile(r"(?P<head>\bsig(?:nature)?=)[^\s&;'\"]+", re.IGNORECASE),
)
_QUERY_STRING = re.compile(r"(?P<address>(?:\bhttps?://|(?<![\w./])/)[^\s?'\"<>]{0,1024}\?)[^\s'\"<>]+")


Hide = Callable[[str], str]


def redact_event(event: MutableMapping[str, Any], hide: Hide = str) -> MutableMapping[str, Any]:
    """
    Args:
        hide: takes known values out of a text. Not for the audit trail: whoever makes a source could blot out words of
            its records.
    """
    return {key: _redact(value, key, hide, 0) for key, value in event.items()}


def redact_text(text: str, hide: Hide = str) -> str:
    if len(text) > _MAX_TEXT:
        half = _MAX_TEXT // 2
        tail = text[-half:].partition("\n")[2]  # whole lines: half a secret would not be recognised
        text = f"{text[:half]} … {len(text) - half - len(tail)} characters left out …\n{tail}"
    text = hide(text)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<head>{MASK}", text)
    return _QUERY_STRING.sub(rf"\g<address>{MASK}", mask_text(text))


def _redact(value: Any, name: str, hide: Hide, depth: int) -> Any:
    """Whatever is no plain value becomes text here, because a renderer would do so after us."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if is_secret_name(name):
        return MASK
    if isinstance(value, str):
        return redact_text(value, hide)
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {str(k): _redact(v, str(k), hide, depth + 1) for k, v in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_redact(item, name, hide, depth + 1) for item in value]
    return redact_text(str(value) if isinstance(value, BaseException) else repr(value), hide)
