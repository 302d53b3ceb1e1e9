"""What a process is started with: its settings, and the policy file that is used while the store holds no policy.

Reads the environment and the file, and parses each once. Must not know what is built from them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from otp_service import policy, settings
from otp_service.errors import ConfigurationError
from otp_service.policy import Policy
from otp_service.settings import Settings


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The text of the policy file, and the policy that it describes."""

    text: str
    policy: Policy

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of a policy. Raises ConfigurationError."""
        return cls(text, policy.parse(text))


Fit = Callable[[Policy, Settings | None, Mapping[str, str]], Iterable[str]]
"""Lists what is missing for a policy, given the settings (None if they are wrong) and the environment."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, and the policy file if there is one."""

    settings: Settings
    policy_file: PolicyFile | None = None

    def parse(self, text: str) -> Policy:
        """Parse a policy; the text of the policy file is not parsed again. Raises ConfigurationError."""
        return self.known(text) or policy.parse(text)

    def known(self, text: str) -> Policy | None:
        """Return the policy of the policy file if this is its text."""
        return self.policy_file.policy if self.policy_file and self.policy_file.text == text else None


def read_configuration(
    environment: Mapping[str, str], fit: Fit = lambda _policy, _settings, _environment: ()
) -> Configuration:
    """Read settings and policy file. Raises ConfigurationError with the problems of both."""
    problems: list[str] = []
    read: Settings | None = None
    file: PolicyFile | None = None
    try:
        read = settings.read(environment)
    except ConfigurationError as error:
        problems += error.problems
    if path := read.policy_file if read else environment.get("OTP_POLICY_FILE"):
        try:
            file = _read_policy_file(Path(path))
        except ConfigurationError as error:
            problems += error.problems
        else:
            problems += fit(file.policy, read, environment)
    if problems or read is None:
        raise ConfigurationError(problems)
    return Configuration(read, file)


def _read_policy_file(path: Path) -> PolicyFile:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(["OTP_POLICY_FILE names a file that cannot be read"]) from None
    return PolicyFile.parse(text)
