"""What a process is started with: its settings, and the policy file that is used while the store holds no policy.

Reads the environment and the file, and parses each once. Must not know what is built from them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from otp_service import policy, settings
from otp_service.errors import ConfigurationError
from otp_service.policy import Policy
from otp_service.settings import Settings


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The text of the policy file, and the policy that it describes."""

    text: str
    policy: Policy


Fit = Callable[[Policy, Settings | None, Mapping[str, str]], Iterable[str]]
"""Lists the problems of a policy with these settings, which are None if they are wrong, and this environment."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, and the policy file if there is one."""

    settings: Settings
    first: PolicyFile | None = None

    def parse(self, text: str) -> Policy:
        """Parse a policy. The one of the policy file is not parsed again. Raises ConfigurationError."""
        if self.first and self.first.text == text:
            return self.first.policy
        return policy.parse(text)


def with_policy(read: Settings, text: str | None) -> Configuration:
    """Combine settings with the text of a policy file. Raises ConfigurationError."""
    return Configuration(read, None if text is None else PolicyFile(text, policy.parse(text)))


def read_configuration(
    environment: Mapping[str, str], fit: Fit = lambda _policy, _settings, _environment: ()
) -> Configuration:
    """Read settings and policy file. Raises ConfigurationError with the problems of both."""
    problems: list[str] = []
    read: Settings | None = None
    first: PolicyFile | None = None
    try:
        read = settings.read(environment)
    except ConfigurationError as error:
        problems += error.problems
    if file := read.policy_file if read else environment.get("OTP_POLICY_FILE"):
        try:
            first = _policy_file(Path(file))
        except ConfigurationError as error:
            problems += error.problems
        else:
            problems += fit(first.policy, read, environment)
    if problems or read is None:
        raise ConfigurationError(problems)
    return Configuration(read, first)


def _policy_file(file: Path) -> PolicyFile:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(["OTP_POLICY_FILE names a file that cannot be read"]) from None
    return PolicyFile(text, policy.parse(text))
