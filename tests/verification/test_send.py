"""How sends with one idempotency key race."""

import itertools
from concurrent.futures import ThreadPoolExecutor

from otp_service.bootstrap.core import Core
from otp_service.errors import IdempotencyKeyReused
from otp_service.verification.caller import Caller
from otp_service.verification.send import SendRequest
from tests.support.numbers import crowd


def test_one_key_for_many_numbers_at_once_spends_one_budget(core: Core, caller: Caller) -> None:
    """Requests that lose the race for an idempotency key get their charges back."""
    numbers = list(itertools.islice(crowd(), 10))

    def send(number: str) -> str | None:
        try:
            core.send.send(caller, SendRequest(to=number), "same-key")
        except IdempotencyKeyReused:
            return None
        return number

    with ThreadPoolExecutor(len(numbers)) as pool:
        won = [number for number in pool.map(send, numbers) if number]
    assert len(won) == 1
    for number in set(numbers) - set(won):
        core.send.send(caller, SendRequest(to=number))
