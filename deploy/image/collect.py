"""Collects what the image needs into one folder: the environment, its Python, and their libraries.

Runs while the image is built, on any Debian: `collect.py /opt/otp /image`. The image then has no shell, no package
manager and no pip. Beside the files lies what scanners read: the record of each Debian package that one came from.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

UNUSED = {
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pydoc_data", "distutils"),
    *("__pycache__", "dist-packages", "site-packages", "config-3.11-x86_64-linux-gnu", "venv"),
}
"""Parts of Python's library that the service never imports."""
NOT_NEEDED = re.compile(r"(pip|setuptools|flit_core|_distutils_hack|distutils-precedence)([-./]|$)")
"""What built the environment."""
STARTED = re.compile(r"otp-service$|python")
"""Programs of the environment that are kept."""
LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/usr/lib/ssl", "/etc/ssl/openssl.cnf")
USER = "otp:x:10001:10001::/var/lib/otp:/none\n"


def main(environment: Path, image: Path) -> None:
    """Copy all of it."""
    python = Path(os.path.realpath(environment / "bin" / "python3"))
    library = Path(sysconfig.get_path("stdlib"))
    wanted = [python, *_under(library, UNUSED), *_under(environment, set())]
    wanted += [Path(one) for one in CERTIFICATES if Path(one).exists()]
    wanted += sorted(
        {library for file in wanted if file.is_file() and _is_binary(file) for library in _libraries(file)}
    )
    wanted += [Path("/etc/ld.so.cache"), *_links(environment / "bin" / "python3")]
    for file in wanted:
        _copy(file, image)
    _record(wanted, image)
    _furnish(image)


def _under(folder: Path, unused: set[str]) -> Iterator[Path]:
    for name, folders, files in os.walk(folder):
        place = Path(name)
        folders[:] = [one for one in folders if one not in unused and not NOT_NEEDED.match(one)]
        kept = [
            one for one in files if not NOT_NEEDED.match(one) and (place.name != "bin" or STARTED.match(one))
        ]
        yield from (place / one for one in kept)
        yield from (place / one for one in folders if (place / one).is_symlink())


def _is_binary(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def _libraries(file: Path) -> Iterator[Path]:
    said = subprocess.run(["/usr/bin/ldd", str(file)], capture_output=True, text=True, check=False).stdout
    yield from (Path(one) for one in LIBRARY.findall(said))


def _links(file: Path) -> Iterator[Path]:
    while file.is_symlink():
        yield file
        file = file.parent / file.readlink()


def _copy(file: Path, image: Path) -> None:
    target = image / os.path.realpath(file.parent).lstrip("/") / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.is_symlink() and not target.is_symlink():
        target.symlink_to(file.readlink())
        real = Path(os.path.realpath(file))
        if real.is_file():
            _copy(real, image)
    elif file.is_file() and not target.exists():
        shutil.copy2(file, target)


def _record(wanted: list[Path], image: Path) -> None:
    copied = {os.path.realpath(one) for one in wanted}
    folder = image / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for listed in sorted(Path("/var/lib/dpkg/info").glob("*.list")):
        files = listed.read_text(encoding="utf-8").splitlines()
        if copied & {os.path.realpath(one) for one in files if not Path(one).is_dir()}:
            package = listed.name.removesuffix(".list")
            said = subprocess.run(
                ["/usr/bin/dpkg-query", "--status", package], capture_output=True, check=True
            )
            name = package.partition(":")[0]
            (folder / name).write_bytes(said.stdout)
            licence = Path("usr/share/doc", name, "copyright")
            (image / licence).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/", licence), image / licence)


def _furnish(image: Path) -> None:
    for link in ("bin", "lib", "lib64", "sbin"):
        if Path("/", link).is_symlink():
            (image / link).symlink_to(Path("/", link).readlink())
    (image / "tmp").mkdir(mode=0o1777)
    (image / "tmp").chmod(0o1777)
    (image / "etc/passwd").write_text(f"root:x:0:0:root:/root:/none\n{USER}", encoding="utf-8")
    (image / "etc/group").write_text("root:x:0:\notp:x:10001:\n", encoding="utf-8")
    shutil.copy("/etc/os-release", image / "etc/os-release")
    home = image / "var/lib/otp"
    home.mkdir(parents=True)
    os.chown(home, 10001, 10001)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
