"""Builds what people install: sdist and wheel of the service, both clients, the chart.

Knows the build tools. Two runs from one commit give the same bytes, because every time in a package is the commit's.
"""

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

BUILD = """
import sys
from flit_core import buildapi
for make in sys.argv[2:]:
    getattr(buildapi, make)(sys.argv[1])
"""
"""What pip and build call as well; a process of its own, because flit works in the current folder."""


def build_python(source: Path, folder: Path, moment: int) -> None:
    """Write sdist and wheel of the service, and the wheel of its client."""
    made = {source: ("build_sdist", "build_wheel"), source / "clients" / "python": ("build_wheel",)}
    for place, makes in made.items():
        _run([sys.executable, "-c", BUILD, str(folder.resolve()), *makes], place, moment)


def build_form(source: Path, folder: Path, moment: int) -> None:
    """Write the npm package of the form and its client, built with the locked tools."""
    place = source / "clients" / "js"
    _run(["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], place, moment)
    _run(["npm", "run", "--silent", "build"], place, moment)
    _run(
        ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder.resolve())],
        place,
        moment,
    )


def build_chart(source: Path, folder: Path, moment: int) -> None:
    """Write the chart as Helm packs it: a folder with its name in a tar file."""
    place = source / "deploy" / "chart"
    [version] = [
        line.removeprefix("version: ")
        for line in (place / "Chart.yaml").read_text(encoding="utf-8").splitlines()
        if line.startswith("version: ")
    ]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in sorted(
            one for one in place.rglob("*") if one.is_file() and one.parent.name != "rendered"
        ):
            about = tarfile.TarInfo(f"otp-service/{file.relative_to(place)}")
            about.size, about.mtime, about.mode = file.stat().st_size, moment, 0o644
            tar.addfile(about, io.BytesIO(file.read_bytes()))
    name = folder / f"otp-service-chart-{version}.tgz"
    name.write_bytes(gzip.compress(packed.getvalue(), mtime=moment))


def _run(command: list[str], folder: Path, moment: int) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(moment)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stdout}{done.stderr}")
