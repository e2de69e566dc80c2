"""Write the pocket model's text statistics beside it, so that nobody waits for them.

python -m tools.pocket.covariance [--base assets/pocket]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from perfusion_core.model.base import load_base
from perfusion_core.model.listing import pocket_folder
from perfusion_core.model.statistics import SHIPPED_NAME, compute, read_captions, save_statistics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, default=pocket_folder())
    options = parser.parse_args()
    base = load_base(options.base, device="cpu")
    stats = compute(base, read_captions(), text=base.text_fingerprint)
    save_statistics(stats, base.text_fingerprint, options.base / SHIPPED_NAME)
    print(
        f"{options.base / SHIPPED_NAME}: {len(stats.inverse)} wide, condition number {stats.condition:,.0f}"
    )


if __name__ == "__main__":
    main()
