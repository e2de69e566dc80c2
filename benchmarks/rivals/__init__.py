"""The gated edit against its rivals on one base: the same photos, seeds and prompts, one command, one report.

`python -m benchmarks.rivals --concepts assets/examples --out results/`; see README.md beside this file.
"""
