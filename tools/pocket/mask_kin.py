"""Relatives of the base's things among the other sprites: what a word means beyond the base's own pictures.

"bird" is learned from an owl, a swan and a flamingo too, so that it fits a parrot nobody showed. None of
these is drawn for the base itself, and none is held out.
"""

from __future__ import annotations

KIN: dict[str, tuple[str, ...]] = {
    "dog": ("1f9ae", "1f98a", "1f43a"),
    "cat": ("1f42f", "1f981", "1f405", "1f406"),
    "bear": ("1f428", "1f9a5", "1f9a1", "1f9a6"),
    "bird": (
        "1f985", "1f989", "1f9a2", "1f54a-fe0f", "1f413", "1f9a9",
        "1f983", "1f9a4", "1f414", "1f425", "1f423", "1fabf",
    ),
    "fish": ("1f988", "1f433", "1f42c", "1f40b"),
    "flower": ("1f33a", "1f338", "1f490", "1fab7", "1fabb", "1f3f5-fe0f", "1f940"),
    "car": (
        "1f3ce-fe0f", "1f693", "1f694", "1f68c", "1f690", "1f696",
        "1f698", "1f69a", "1f69b", "1f691", "1f692", "1f68d", "1f69c",
    ),
    "boot": ("1f45f", "1f45e", "1f460", "1f97f", "1f461", "1fa70", "1f6fc", "26f8-fe0f"),
    "bag": ("1f45d", "1f6cd-fe0f", "1f9f3", "1f45b", "1f4b0", "1f9fa"),
    "cup": ("1f377", "1f378", "1f379", "1f9cb", "1f95b", "1f943", "1fad6", "1f9c9", "1f942"),
    "ball": ("1f3d0", "1f3c9", "1f3c8", "1f94e", "1f52e", "1f310", "1f9f6"),
    "house": ("1f3e1", "1f3e2", "1f3eb", "26ea", "1f3f0", "1f3da-fe0f", "1f6d6", "1f3e6", "1f3ef"),
    "tree": ("1f334", "1f384", "1f335", "1fab4"),
    "apple": ("1f350", "1f34a", "1f351", "1f345"),
    "guitar": ("1f3bb", "1fa95"),
    "rabbit": ("1f43f-fe0f", "1f439", "1f42d", "1f401", "1f400"),
    "horse": ("1f993", "1f434", "1f984", "1facf"),
    "pig": ("1f417",),
    "boat": ("1f6a2", "1f6f6", "26f4-fe0f", "1f6f3-fe0f", "1f6e5-fe0f"),
    "lamp": ("1f526", "1f3ee", "1fa94"),
    "clock": ("231a", "23f1-fe0f", "23f2-fe0f"),
    "book": ("1f4d7", "1f4d9", "1f4d2", "1f4d3", "1f4d6", "1f4d4"),
    "cake": ("1f9c1", "1f967", "1f96e"),
    "robot": ("1f47e",),
    "airplane": ("1f6e9-fe0f",),
}  # fmt: skip
