"""The look of the app: one accent colour, warm greys, rounded cards, fonts that come with it."""

from __future__ import annotations

import base64
from pathlib import Path

from gradio.themes import Base
from gradio.themes.utils.colors import Color
from gradio.themes.utils.sizes import radius_lg

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "ui"

# Coral. 600 carries white text at a contrast of 5:1, 400 stands on the dark ground.
CORAL = Color(
    name="coral",
    c50="#fdf3f0",
    c100="#fbe4dd",
    c200="#f7cabd",
    c300="#f2a48f",
    c400="#ec8268",
    c500="#dc5d40",
    c600="#c8452b",
    c700="#a83620",
    c800="#8a2e1d",
    c900="#722a1d",
    c950="#3e120a",
)
WARM = Color(
    name="warm",
    c50="#faf9f7",
    c100="#f4f2ef",
    c200="#e8e4df",
    c300="#d5cfc8",
    c400="#a8a099",
    c500="#7a726b",
    c600="#5a534d",
    c700="#433d38",
    c800="#2a2623",
    c900="#1d1a18",
    c950="#141210",
)


# The font's files and the characters each has, as its publisher splits them.
FONT_FILES = {
    "figtree-latin-wght-normal.woff2": (
        "U+0000-00FF,U+0131,U+0152-0153,U+02BB-02BC,U+02C6,U+02DA,U+02DC,U+2000-206F,U+20AC,U+2122,U+2191,"
        "U+2193,U+2212,U+2215,U+FEFF,U+FFFD"
    ),
    "figtree-latin-ext-wght-normal.woff2": (
        "U+0100-02BA,U+1E00-1E9F,U+1EF2-1EFF,U+20A0-20AB,U+20AD-20C0,U+2C60-2C7F"
    ),
}


def css() -> str:
    """The app's style sheet with its font inside."""
    return "".join(map(_font_face, FONT_FILES)) + (ASSETS / "studio.css").read_text("utf-8")


def _font_face(name: str) -> str:
    content = base64.b64encode((ASSETS / "fonts" / name).read_bytes()).decode()
    return (
        "@font-face { font-family: 'Figtree'; font-weight: 300 900; font-style: normal; font-display: swap; "
        f"src: url(data:font/woff2;base64,{content}) format('woff2'); unicode-range: {FONT_FILES[name]}; }}\n"
    )


def theme() -> Base:
    """The app's theme, light and dark. No font or file is fetched from elsewhere."""
    base = Base(
        primary_hue=CORAL,
        secondary_hue=CORAL,
        neutral_hue=WARM,
        radius_size=radius_lg,
        font=["Figtree", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
    return base.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        body_text_size="16px",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_border_width_dark="0px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_title_text_weight="600",
        block_title_text_size="14px",
        block_info_text_size="13px",
        block_padding="0px",
        block_radius="14px",
        form_gap_width="0px",
        layout_gap="16px",
        input_background_fill="white",
        input_background_fill_dark="*neutral_950",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_400",
        input_shadow_focus="0 0 0 3px *primary_100",
        input_shadow_focus_dark="0 0 0 3px *primary_900",
        input_radius="10px",
        input_padding="10px 12px",
        input_text_size="16px",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        color_accent="*primary_600",
        color_accent_soft="*primary_50",
        color_accent_soft_dark="*primary_950",
        border_color_accent="*primary_500",
        border_color_accent_dark="*primary_400",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_600",
        checkbox_border_color_selected="*primary_600",
        checkbox_label_background_fill="*neutral_100",
        checkbox_label_background_fill_dark="*neutral_800",
        checkbox_label_background_fill_selected="*primary_100",
        checkbox_label_background_fill_selected_dark="*primary_900",
        checkbox_label_text_color_selected="*primary_900",
        checkbox_label_text_color_selected_dark="*primary_50",
        checkbox_label_border_width="0px",
        checkbox_label_shadow="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        button_primary_shadow="none",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_secondary_text_color="*neutral_800",
        button_secondary_text_color_dark="*neutral_100",
        button_border_width="1px",
        button_primary_border_color="*primary_600",
        button_large_radius="12px",
        button_medium_radius="10px",
        button_small_radius="8px",
        button_large_text_size="17px",
        button_medium_text_size="15px",
        button_small_text_size="14px",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        loader_color="*primary_500",
        shadow_spread="0px",
        error_background_fill="*primary_50",
        error_background_fill_dark="*primary_950",
        section_header_text_weight="600",
    )
