"""Perfusion Studio. `python app.py` opens the app; `python app.py --help` lists the verbs."""

from __future__ import annotations

import sys

from perfusion_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
