"""The two ways of taking i* out of W e, named. Apart from ``gate.py`` for what does without torch."""

from __future__ import annotations

from typing import Literal

Removal = Literal["paper", "gated"]
