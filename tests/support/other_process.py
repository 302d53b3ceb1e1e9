"""Another process of the same deployment, with an upstream that a test chooses."""

from collections.abc import Callable
from dataclasses import replace

from otp_service.bootstrap.configuration import Configuration, PolicyFile
from otp_service.bootstrap.core import Core
from otp_service.upstream.port import Message, Outcome, Verdict
from tests.conftest import POLICY
from tests.support.numbers import crowd
from tests.support.patience import PATIENT_LIMITS

NUMBER = next(crowd())


class ChosenUpstream:
    """A sender with an answer and a side effect that a test chooses. It remembers the texts."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.texts: list[str] = []
        self.verdict = Verdict.ACCEPTED
        self.meanwhile = meanwhile

    def __call__(self, message: Message) -> Outcome:
        """Accept a message, and answer as the test has chosen."""
        assert message.to.startswith("+")
        assert message.reference
        assert message.code in message.text
        assert 0 < message.seconds <= 300
        self.texts.append(message.text)
        self.meanwhile()
        return Outcome(self.verdict, "chosen")


def other_process(core: Core, upstream: ChosenUpstream | None, **changes: object) -> Core:
    """Make another process of the same deployment, with an upstream that a test chooses or with other keys."""
    made = Core(
        Configuration(
            replace(core.settings, **changes),  # type: ignore[arg-type]
            PolicyFile.parse(POLICY.replace("UPSTREAM/", "http://127.0.0.1:9/")),
        ),
        threads=4,
        hash_slots=1,
        role="other",
        limits=PATIENT_LIMITS,
        offset=core.scripts.offset,
    )
    active = replace(core.active(), senders={("sms", "main"): upstream} if upstream else {})
    made.dispatcher._active = lambda: active  # noqa: SLF001 - the composition root would hand it in
    return made


def running() -> bool:
    """Say that the worker is not stopping."""
    return False
