"""The two ways of taking i* out of W e, named; apart from ``gate.py`` so that metadata is read without torch."""

from __future__ import annotations

from typing import Literal

Removal = Literal["paper", "gated"]
