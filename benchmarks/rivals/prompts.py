"""The prompts of the comparison, and what a classifier should find in their images.

{} stands for the concept: each method puts its own words there, text similarity the superclass.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Prompt:
    """One template, and what it asks for: {"place": "beach"}, {"hat": "crown"}, {"style": "sketch"}.

    own_colours: whether the concept looks as in its photos, so that identity can be asked of it.
    """

    text: str
    asks: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def own_colours(self) -> bool:
        return "style" not in self.asks and "colour" not in self.asks


PROMPTS = (
    Prompt("a photo of a {} on the beach", {"place": "beach"}),
    Prompt("a photo of a {} wearing a crown", {"hat": "crown"}),
    Prompt("a pencil sketch of a {}", {"style": "sketch"}),
    Prompt("a photo of a {} in the snow", {"place": "snow"}),
    Prompt("a photo of a {} in the city", {"place": "city"}),
    Prompt("a photo of a {} wearing a top hat on the grass", {"hat": "top hat", "place": "grass"}),
    Prompt("pixel art of a {}", {"style": "pixel"}),
    Prompt("a photo of a {} in space", {"place": "space"}),
    Prompt("a photo of a {}"),
    Prompt("a photo of a {} under the sea", {"place": "sea"}),
    Prompt("a photo of a {} in the desert", {"place": "desert"}),
    Prompt("a photo of a {} wearing a cap in the city", {"hat": "cap", "place": "city"}),
    Prompt("a black and white photo of a {}", {"style": "grey"}),
    Prompt("a photo of a {} in front of a brick wall", {"place": "brick"}),
    Prompt("a photo of a {} at night", {"place": "night"}),
    Prompt("a photo of a {} in the forest", {"place": "forest"}),
    Prompt("a photo of a {} wearing a crown in the desert", {"hat": "crown", "place": "desert"}),
    Prompt("a pencil sketch of a {} on the beach", {"style": "sketch", "place": "beach"}),
    Prompt("a photo of a {} on a wooden table", {"place": "table"}),
    Prompt("a photo of a {} next to a house"),
)

# For choosing every method's settings on the development concepts; none of them is one of PROMPTS.
TUNING_PROMPTS = (
    Prompt("a picture of a {}"),
    Prompt("a picture of a {} on the grass", {"place": "grass"}),
    Prompt("a photo of a {} wearing a cap", {"hat": "cap"}),
    Prompt("a picture of a {} in the sea"),
)

PAIR_PROMPTS = (
    "a photo of a {} next to a {}",
    "a photo of a {} and a {} on the beach",
    "a picture of a {} beside a {} in the snow",
    "a photo of a {} and a {}",
)
