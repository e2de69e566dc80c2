"""Fetch sprite packages from the npm registry, by name and pinned version.

Nothing fetched is committed; licences are in the model card.
"""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


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
