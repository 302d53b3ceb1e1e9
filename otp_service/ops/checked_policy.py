"""A policy's text, refused as a whole when anything in it is wrong.

Must not know where a policy is kept: `policy check` reads only a file, and imports no store.
"""

from collections.abc import Callable

from otp_service.errors import ConfigurationError, PolicyInvalid
from otp_service.policy import Policy


def parse_checked(text: str, check: Callable[[str], Policy], detail: str | None = None) -> Policy:
    """Parse a policy by a function that raises ConfigurationError.

    Raises PolicyInvalid with every problem, and with `detail` if that is given.
    """
    try:
        return check(text)
    except ConfigurationError as error:
        raise PolicyInvalid(error.problems, detail) from None
