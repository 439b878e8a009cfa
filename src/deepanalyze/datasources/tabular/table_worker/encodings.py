"""Which encoding a text is in, told by evidence in this order: a byte order mark; zeros where UTF-16 has them; being
valid UTF-8, which no other encoding is by chance; Chinese characters in pairs of bytes; else what Windows writes in
western Europe and America (cp1252, and latin-1 where it has no meaning).

Statistical detectors were tried and not taken: on short tables charset-normalizer 3.4 took Spanish and French for
cp1250, and two euro signs for DOS's cp437.
"""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOST_ZEROS = 0.4  # of every second byte: texts of Latin letters in UTF-16
_DAMAGE = 10  # a UTF-8 text may have one bad byte in so many good characters
_FEWEST = 4  # characters: fewer pairs may be chance
_COMMON = 0.9  # of Chinese text is in the basic set; what only looks Chinese is not


def encoding_of(sample: bytes) -> str:
    """`sample` should hold what is not ASCII, and may end within a character."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    if (utf16 := _utf16(sample[:4096])) is not None:
        return utf16
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    bad = text.count("\ufffd")
    if bad == 0 or sum(not c.isascii() for c in text) - bad > _DAMAGE * bad:
        return "utf-8"
    if _is_chinese(sample):
        return "gb18030"
    return "cp1252" if _decodes(sample, "cp1252") else "latin-1"


def _utf16(sample: bytes) -> str | None:
    pairs = len(sample) // 2
    if pairs < 2:
        return None
    even, odd = sample[0::2].count(0) / pairs, sample[1::2].count(0) / pairs
    if odd > _MOST_ZEROS and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > _MOST_ZEROS and odd < 0.05 else None


def _is_chinese(sample: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("gb18030")().decode(sample)
    except UnicodeDecodeError:
        return False
    wide = [c for c in text if not c.isascii()]
    common = sum(bool(c.encode("gb2312", "ignore")) for c in wide)
    return len(wide) >= _FEWEST and common >= _COMMON * len(wide)


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
