"""The command line: verbs and options. Nothing heavy is imported here, so that help comes at once."""

from __future__ import annotations

import argparse

from perfusion_core.cli.fanout_parser import add_fanout_verbs
from perfusion_core.cli.lora_option import add_lora_option
from perfusion_core.model.schedulers import SCHEDULER_NAMES
from perfusion_core.sampling.operating_points import LOCKS

EXAMPLES = """\
examples:
  python app.py                                   open the app in the browser
  python app.py teach --photos assets/examples/black-cat --name shadow --superclass cat
  python app.py generate "a photo of a <shadow> on the beach" -n 4 --seed 7
  python app.py front "a photo of a <shadow> wearing a crown" --points 7
  python app.py generate "a photo of a <shadow> next to a <mug:0.55>"
  python app.py generate "a <shadow>" --lora lcm-lora.safetensors --lora ink.safetensors:0.7

Concepts live in PERFUSION_HOME (by default your data folder).
"""


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="Perfusion Studio: teach a picture model one thing, and say how much of it you want.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    app = parser.add_argument_group("the app (without a verb)")
    app.add_argument("--host", help="address to serve on (default: this machine only)")
    app.add_argument("--port", type=int, default=7860)
    app.add_argument(
        "--auth",
        metavar="USER:PASSWORD",
        help="needed for any address but this machine's own. Other users of this machine can read it with "
        "ps; --auth-file and the environment variable PERFUSION_AUTH keep it from them",
    )
    app.add_argument("--auth-file", metavar="FILE", help="a file with USER:PASSWORD in its first line")
    app.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    machine = _machine()
    _add_machine(parser)
    verbs = parser.add_subparsers(dest="verb", title="verbs", metavar="VERB")
    _add_teach(verbs, machine)
    _add_generate(verbs, machine)
    _add_front(verbs, machine)
    _add_grid(verbs, machine)
    _add_evaluate(verbs, machine)
    _add_recipe(verbs)
    _add_library(verbs)
    _add_bases(verbs)
    _add_words(verbs, machine)
    add_fanout_verbs(verbs, machine)
    return parser


def _machine() -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    _add_machine(parent, argparse.SUPPRESS)
    return parent


def _add_machine(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The options before and after a verb; after it, an absent one must not undo one given before it."""
    group = parser.add_argument_group("base model and machine")
    group.add_argument(
        "--base",
        default=default,
        help="pocket (default), a diffusers folder, a .safetensors file, or a hub id",
    )
    group.add_argument("--device", default=default, help="cuda, mps or cpu (default: the best there is)")
    group.add_argument("--dtype", default=default, help="fp32, fp16 or bf16 (default: by device)")


def _add_teach(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], machine: argparse.ArgumentParser
) -> None:
    verb = verbs.add_parser("teach", parents=[machine], help="teach a concept from one or more photos")
    verb.add_argument("--photos", nargs="+", metavar="PATH", help="photos, or folders with photos")
    verb.add_argument("--name", help="what prompts will call it: <name>")
    verb.add_argument("--superclass", help="what kind of thing it is, e.g. dog")
    verb.add_argument(
        "--mask",
        default="auto",
        metavar="auto|none|FOLDER",
        help="find the subject (auto), learn from whole photos (none), or take masks named like the photos",
    )
    verb.add_argument("--steps", type=int, help="optimizer steps (default: measured for the base)")
    verb.add_argument("--seed", type=int, help="of the teaching (default: 0)")
    verb.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="learn from mirrored photos too, or never (default: measured for the base)",
    )
    verb.add_argument("--trained-keys", action="store_true", help="learn keys as well (the paper's ablation)")
    verb.add_argument("--removal", choices=("paper", "gated"), help="how the gate treats other words")
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="any other setting of the recipe, e.g. value_rate=0.01",
    )
    verb.add_argument(
        "--overwrite", action="store_true", help="replace a concept of that name (it goes to the trash)"
    )
    verb.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="NAME",
        help="continue a teaching that was stopped (the latest, or the one of that name)",
    )


def _add_generate(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], machine: argparse.ArgumentParser
) -> None:
    verb = verbs.add_parser("generate", parents=[machine], help="make images of a prompt with <name> in it")
    verb.add_argument("prompt", nargs="?", help="<name> is a concept, <name:0.6> sets its gate bias")
    verb.add_argument("-n", "--count", type=int, default=1, help="how many images (default: 1)")
    verb.add_argument("--from", dest="source", metavar="IMAGE.png", help="make this image again, bit for bit")
    verb.add_argument("--anyway", action="store_true", help="with --from: also where it cannot be the same")
    _add_sampling(verb)


def _add_front(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], machine: argparse.ArgumentParser
) -> None:
    verb = verbs.add_parser(
        "front", parents=[machine], help="one image along a concept's gate bias, scored, as a strip"
    )
    verb.add_argument("prompt")
    verb.add_argument("--concept", help="which concept to vary (default: the prompt's first)")
    verb.add_argument("--points", type=int, default=7, help="how many biases (default: 7)")
    verb.add_argument("--seeds", type=int, default=1, help="rows of the strip; scores are means (default: 1)")
    verb.add_argument("--range", metavar="HIGH:LOW", help="biases from and to (default: the slider's ends)")
    verb.add_argument("--keep", action="store_true", help="keep the knee as the concept's setting")
    _add_sampling(verb)


def _add_grid(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], machine: argparse.ArgumentParser
) -> None:
    verb = verbs.add_parser(
        "grid", parents=[machine], help="one image for every pair of two concepts' biases"
    )
    verb.add_argument("prompt")
    verb.add_argument("--points", type=int, default=4, help="biases a side (default: 4)")
    verb.add_argument("--range", metavar="HIGH:LOW", help="biases from and to (default: the slider's ends)")
    _add_sampling(verb)


def _add_sampling(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--seed", type=int, help="of the first image (default: drawn at random, and shown)")
    verb.add_argument("--negative", default="", metavar="PROMPT", help="what the image should not show")
    verb.add_argument("--steps", type=int, help="denoising steps (default: by base; few for Turbo, LCM …)")
    verb.add_argument("--guidance", type=float, help="(default: by base; off for Turbo and Lightning)")
    verb.add_argument("--size", metavar="WIDTHxHEIGHT")
    verb.add_argument("--scheduler", choices=SCHEDULER_NAMES)
    verb.add_argument("--lock", choices=LOCKS, default="local")
    verb.add_argument("--removal", choices=("paper", "gated"))
    verb.add_argument("--temperature", type=float, help="of the gate (default: the concept's own)")
    verb.add_argument(
        "--bias",
        action="append",
        default=[],
        metavar="NAME=BIAS",
        help="gate bias of a concept, e.g. biscuit=0.6",
    )
    add_lora_option(verb)
    verb.add_argument("--out", default="outputs", metavar="FOLDER", help="where images go (default: outputs)")


def _add_evaluate(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], machine: argparse.ArgumentParser
) -> None:
    verb = verbs.add_parser("evaluate", parents=[machine], help="measure a concept's front over many prompts")
    verb.add_argument("name")
    verb.add_argument(
        "--photos", nargs="+", metavar="PATH", help="compare with these instead of its own photos"
    )
    verb.add_argument("--prompt", action="append", help="a prompt with {} for the concept; repeat for more")
    verb.add_argument("--points", type=int, default=7)
    verb.add_argument("--seeds", type=int, default=1, help="images a prompt and point (default: 1)")
    verb.add_argument("--steps", type=int)
    verb.add_argument("--lock", choices=LOCKS, default="local")
    verb.add_argument("--json", metavar="FILE", help="write everything measured into this file")


def _add_recipe(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("recipe", help="show how an image was made")
    verb.add_argument("image")
    verb.add_argument("--json", action="store_true", help="as JSON")


def _add_library(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("library", help="list, export, import, rename, delete concepts")
    actions = verb.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="all concepts (also without an action)")
    show = actions.add_parser("show", help="everything about one concept")
    show.add_argument("name")
    export = actions.add_parser("export", help="write a concept file for someone else")
    export.add_argument("name")
    export.add_argument("path")
    export.add_argument("--compact", action="store_true", help="half precision: half the size")
    export.add_argument("--overwrite", action="store_true")
    take = actions.add_parser("import", help="take a concept file, or all in a folder")
    take.add_argument("path")
    take.add_argument("--name", help="under another name")
    take.add_argument(
        "--overwrite", action="store_true", help="replace one of that name (it goes to the trash)"
    )
    for action, words in (
        ("rename", "give a concept another name"),
        ("duplicate", "make a copy of a concept"),
    ):
        change = actions.add_parser(action, help=words)
        change.add_argument("name")
        change.add_argument("new_name")
    notes = actions.add_parser("notes", help="write notes on a concept")
    notes.add_argument("name")
    notes.add_argument("text")
    bias = actions.add_parser("bias", help="set the gate bias a concept opens with")
    bias.add_argument("name")
    bias.add_argument("bias", type=float)
    bias.add_argument("--lock", choices=LOCKS, default="local")
    delete = actions.add_parser("delete", help="move a concept to the trash")
    delete.add_argument("name")
    actions.add_parser("trash", help="what is in the trash")
    restore = actions.add_parser("restore", help="take a concept out of the trash (the latest, or by name)")
    restore.add_argument("name", nargs="?")


def _add_bases(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs.add_parser("bases", help="list the base models on this machine")


def _add_words(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], machine: argparse.ArgumentParser
) -> None:
    verbs.add_parser("words", parents=[machine], help="list the words that the base model knows")
