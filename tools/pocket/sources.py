"""Fetch the sprite and word sources from the npm registry, by package name and pinned version.

Run once: `python -m tools.pocket.sources`. Nothing fetched is committed; licences are in the model card.
"""

from __future__ import annotations

import argparse
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tools.pocket.paths import work_dir


@dataclass(frozen=True)
class Package:
    """One npm package at one version, and the licence its pictures or words come under."""

    name: str
    version: str
    licence: str

    @property
    def folder(self) -> str:
        """Folder name inside the work dir: the package name without its scope's slash."""
        return self.name.replace("@", "").replace("/", "-")


SPRITES = Package("@lobehub/fluent-emoji-3d", "1.1.0", "MIT")
PACKAGES = (SPRITES,)


def fetch(package: Package, work: Path) -> Path:
    """Return the unpacked folder of `package` under `work`, downloading it with `npm pack` if absent.

    Raises:
        RuntimeError: npm is missing or could not fetch the package; the message says what to do.
    """
    target = work / "npm" / f"{package.folder}-{package.version}"
    if (target / "package.json").is_file():
        return target
    spec = f"{package.name}@{package.version}"
    archives = work / "npm"
    archives.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            ["npm", "pack", spec, "--silent"], cwd=archives, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as failure:
        raise RuntimeError(
            f"Could not fetch {spec} with npm ({failure}). Install Node.js with npm, check the "
            "network, run again."
        ) from failure
    archive = archives / done.stdout.strip().splitlines()[-1]
    partial = target.with_suffix(".partial")
    with tarfile.open(archive) as tar:
        tar.extractall(partial, filter="data")
    (partial / "package").rename(target)
    partial.rmdir()
    archive.unlink()
    return target


def main() -> None:
    """Fetch every package into the work folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", help="work folder (default: $POCKET_WORK or the user cache)")
    work = work_dir(parser.parse_args().work)
    for package in PACKAGES:
        print(f"{package.name} {package.version} ({package.licence}): {fetch(package, work)}")


if __name__ == "__main__":
    main()
