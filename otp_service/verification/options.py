"""Options: the channels that a number would get, before anything is sent.

Knows who may ask how often. Must not know HTTP, or what is stored about a number: the answer follows from its country,
kind and first digits alone, so that it tells nothing of a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from otp_service import phone
from otp_service.crypto.sealing import Seal
from otp_service.errors import Invalid, NoRoute, TooManyRequests
from otp_service.guard.networks import subscriber, wider_networks
from otp_service.guard.rules import fixed_lines
from otp_service.store.recent import Recent
from otp_service.store.scripts import Scripts
from otp_service.verification.caller import Caller

MOST, WITHIN = 60, 60_000
"""Questions from one address, and the milliseconds within which they count. Wider IPv6 networks have some more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsRequest:
    """What `POST /otp/options` asks for. A server may name the person's `address`."""

    to: str
    country: str | None = None
    purpose: str = "login"
    address: str | None = None


class Options:
    """`POST /otp/options`."""

    def __init__(self, scripts: Scripts, seal: Seal, *, prefix: str) -> None:
        self._recent = Recent(scripts)
        self._seal = seal
        self._prefix = prefix

    def read(self, caller: Caller, request: OptionsRequest) -> Sequence[str]:
        """List the channels of the number's route, in the order in which they are used.

        Of a server's questions those with an address are counted. Raises Invalid, InvalidNumber, NoRoute,
        TooManyRequests or StoreUnavailable.
        """
        if caller.is_page and request.address:
            raise Invalid({"address": ["is accepted only with a secret key"]})
        number = phone.parse(request.to, request.country)
        address = request.address if caller.address is None else caller.address
        if address is not None:
            self._count(address)
        policy, app = caller.active.policy, caller.app.name
        if any(line.on for line in fixed_lines(policy.guard_of(app), number)):
            raise NoRoute
        return policy.channels(number, app, request.purpose)

    def _count(self, address: str) -> None:
        for network, times in ((subscriber(address), 1), *wider_networks(address)):
            name = self._seal.index("options", network)
            wait = self._recent.take(f"{self._prefix}:asked:{name}", times * MOST, WITHIN)
            if wait:
                raise TooManyRequests(
                    "Too many questions from this address. Wait retry_after seconds.",
                    retry_after=-(-wait // 1000),
                )
