"""What was done of late: a limit within any window of time, exact over all processes and lost answers.

Knows the script. Must not know what is limited, or by whom.
"""

from otp_service.store.partitions import operation
from otp_service.store.scripts import Scripts


class Recent:
    """Limits by key. The method raises StoreUnavailable if the server does not answer in time."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def take(self, key: str, most: int, window: int) -> int:
        """Take one of `most` places within `window` (milliseconds).

        Return 0, or the milliseconds until one is free.
        """
        return int(self._scripts.call("take_recent", [key], operation(), most, window))
