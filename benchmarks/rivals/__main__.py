"""`python -m benchmarks.rivals`: the gated edit against its rivals, one command, one report.

Every step is kept under the hash of what it follows from: a second call goes on where the first was cut off.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from benchmarks.rivals.bench import Bench
from benchmarks.rivals.cache import Cache
from benchmarks.rivals.figure import write_fronts
from benchmarks.rivals.judging import Judge, load_judge
from benchmarks.rivals.methods.registry import chosen_methods
from benchmarks.rivals.options import Options, read_options
from benchmarks.rivals.pairing import bleed_results
from benchmarks.rivals.report import write_report
from benchmarks.rivals.results import Regime, Results
from benchmarks.rivals.runner import Runner
from benchmarks.rivals.study import Study, split
from benchmarks.rivals.subject import Subject, read_subjects
from benchmarks.subjects import machine
from perfusion_core.errors import PerfusionError
from perfusion_core.model.base import load_base
from perfusion_core.sampling.defaults import sampling_defaults
from perfusion_core.studio.bases import LoadedBase, Missing
from perfusion_core.studio.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison; the report's path is printed at the end."""
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        options = read_options(arguments)
        subjects = read_subjects(options.concepts, options.held_out)
        base = load_base(options.base, device=options.device, dtype="fp32")
        loaded = LoadedBase(base, Settings(home=options.out / "home", base=options.base))
        path = compare(loaded, subjects, options, command=" ".join(["python -m benchmarks.rivals", *typed]))
    except PerfusionError as error:
        print(error, file=sys.stderr)
        return 1
    print(path)
    return 0


def compare(
    loaded: LoadedBase, subjects: list[Subject], options: Options, *, command: str, say: Any = print
) -> Path:
    """Compare all methods and write report.md, results.json, figures/ and sheets/ to `options.out`.

    Raises PerfusionError where the base has no scorer or is none of those the rivals are written for, or
    nothing is left to compare.
    """
    if isinstance(loaded.scorer, Missing):
        raise PerfusionError(f"Without a scorer nothing can be compared. {loaded.scorer.reason}")
    if not isinstance(loaded.base.pipeline, StableDiffusionPipeline):
        raise PerfusionError(
            f"{loaded.base.id} is not a Stable Diffusion 1 or 2 model, and the rivals are written for those. "
            "Give another --base."
        )
    judge = load_judge(options.judge, loaded.scorer)
    develop, compared = split(subjects, options)
    steps = options.steps or sampling_defaults(loaded.base).steps
    bench = Bench(loaded, Cache(options.out / "cache"), steps, options.points)
    methods = chosen_methods(options.methods)
    study = Study(Runner(bench, say), judge, options, methods, develop, compared)
    results = _begun(study, judge, command)
    for name in ("budget", "best", "one-shot"):
        if name in options.parts:
            say(f"== {name}")
            results.regimes.append(study.regime(name, options.out / "sheets"))
            results.sheets |= _sheets(results.regimes[-1])
            write_fronts(results.regimes[-1], options.out / "figures")
    if "bleed" in options.parts:
        say("== bleed")
        results.pairs = bleed_results(
            study, results.regimes[0] if results.regimes else study.regime("budget")
        )
    results.tuning = {f"{teacher}, {kind}": tuned.tried for (teacher, kind), tuned in study.chosen.items()}
    results.budget = study.budget
    (options.out / "results.json").write_text(json.dumps(results.facts(), indent=1), encoding="utf-8")
    say(f"{bench.cache.made} results made, {bench.cache.found} found from before")
    return write_report(results, options.out)


def _begun(study: Study, judge: Judge, command: str) -> Results:
    base, options = study.runner.bench.base, study.options
    first = study.subjects[0]
    return Results(
        base=f"{base.id} ({base.fingerprint})",
        machine=machine(),
        command=command,
        judge=judge.name,
        judge_is_independent=judge.independent,
        gallery=study.gallery.what,
        sampling=study.runner.bench.sampling,
        prompts=[prompt.text for prompt in study.prompts(first)],
        seeds=options.seeds,
        develop=[subject.name for subject in study.develop],
        photos={"learned": len(first.photos), "held out": len(first.held_out)},
        budget=0.0,
        resamples=options.resamples,
        seed=options.seed,
    )


def _sheets(regime: Regime) -> dict[str, str]:
    return {f"{regime.title}: {name}": f"sheets/{regime.name}-{name}.png" for name in regime.concepts}


if __name__ == "__main__":
    sys.exit(main())
