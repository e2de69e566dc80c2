"""The line of `Key: value` pairs in an image's `parameters` text, as several tools write it.

    Steps: 28, Sampler: Euler a, Size: 512x768, Note: "a, b: c"

The text is untrusted, so the reader goes through it once without backtracking: its work is linear in the
length of the line. (A regular expression with a repeated part before the colon tries every start against
every end.)
"""

from __future__ import annotations

LONGEST_LINE = 64 * 1024  # characters; of a longer line nothing is read
MOST_PAIRS = 256


def read_pairs(line: str) -> dict[str, str]:
    """The pairs of one line, keys and values stripped; of a key that comes twice, the last.

    A value in double quotes may hold commas and colons, and a backslash before a quote; it is returned with
    its quotes, as written. What has no colon before the next comma is skipped. A quote that is never closed
    ends the reading. Empty for a line longer than LONGEST_LINE; at most MOST_PAIRS are read.
    """
    pairs: dict[str, str] = {}
    if len(line) > LONGEST_LINE:
        return pairs
    at = 0
    for _ in range(MOST_PAIRS):
        colon = line.find(":", at)
        if colon < 0:
            break
        key = line[at:colon].rpartition(",")[2].strip()
        start = _after_spaces(line, colon + 1)
        end = _quote_end(line, start) if line[start : start + 1] == '"' else start
        if end < 0:
            break
        comma = line.find(",", end)
        end = comma if comma >= 0 else len(line)
        if key:
            pairs[key] = line[start:end].strip()
        at = end + 1
    return pairs


def _after_spaces(line: str, at: int) -> int:
    while line[at : at + 1] == " ":
        at += 1
    return at


def _quote_end(line: str, opening: int) -> int:
    """Where a quoted value ends, one past its closing quote; -1 when it is never closed."""
    at = opening + 1
    while True:
        quote = line.find('"', at)
        if quote < 0:
            return -1
        backslashes = 0
        while line[quote - 1 - backslashes] == "\\" and quote - 1 - backslashes >= at:
            backslashes += 1
        at = quote + 1
        if backslashes % 2 == 0:
            return at
