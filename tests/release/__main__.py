"""Make the release of the version that is checked out, from a clean tree, in one command.

make release KEY=~/.ssh/id_ed25519
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.release import packages, parts, sums, tree
from tests.release.contents import faults

HELP = """Writes sdist and wheel of the service, the packages of both clients, the chart, the lock file, the part of
CHANGELOG.md, the list of parts (CycloneDX), SHA256SUMS and its signature into DIST/VERSION."""


def release(project: Path, folder: Path, key: Path) -> list[str]:
    """Make the release in an empty folder; gives what is wrong with it, and then it is not signed.

    Raises ValueError if the tree is not clean or its files disagree about the version, RuntimeError if the key cannot
    sign.
    """
    version = tree.version(project)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name)
        moment = tree.export(project, source)
        packages.build_python(source, folder, moment)
        packages.build_form(source, folder, moment)
        packages.build_chart(source, folder, moment)
        (folder / f"otp-service-{version}.requirements.txt").write_bytes(
            (source / "requirements.txt").read_bytes()
        )
        (folder / f"otp-service-{version}.changes.md").write_text(tree.changes(source, version))
        (folder / f"otp-service-{version}.cdx.json").write_text(parts.written(source, version, moment))
    if found := faults(folder):
        return found
    sums.write(folder)
    sums.sign(folder, key)
    return []


def main(arguments: list[str]) -> int:
    """Make it and say where; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.release", description=HELP)
    parser.add_argument(
        "--key",
        type=Path,
        required=True,
        help="the releaser's SSH key: the private one, or the public one of an agent",
    )
    parser.add_argument("--dist", type=Path, default=Path("dist"), help="default: dist")
    options = parser.parse_args(arguments)
    project = Path.cwd()
    try:
        folder = options.dist / tree.version(project)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if folder.exists():
        sys.stderr.write(f"{folder} exists: a release is made once; remove it to make it again\n")
        return 1
    options.dist.mkdir(parents=True, exist_ok=True)
    # What fails leaves nothing that looks like a release.
    with tempfile.TemporaryDirectory(dir=options.dist) as name:
        made = Path(name) / folder.name
        made.mkdir()
        try:
            found = release(project, made, options.key.expanduser())
        except RuntimeError as error:
            found = [str(error)]
        if found:
            sys.stderr.write("".join(f"{fault}\n" for fault in found))
            return 1
        made.rename(folder)
    sys.stdout.write("".join(f"{file}\n" for file in sorted(folder.iterdir())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
