"""Client of otp-service: send a code to a phone number, check what the person types, redeem the token.

Knows the calls of an app, their answers and errors. Must not know the service's own code.
Start with `client.py`; `problems.py` has the errors.
"""

from otp_client.client import OtpClient
from otp_client.model import (
    Binding,
    Challenge,
    Channel,
    Claims,
    Delivery,
    FieldError,
    HumanCheck,
    Option,
    Status,
    Verified,
)
from otp_client.problems import NoAnswer, OtpError, Problem, UnexpectedAnswer

__version__ = "1.0.0"

__all__ = [
    "Binding",
    "Challenge",
    "Channel",
    "Claims",
    "Delivery",
    "FieldError",
    "HumanCheck",
    "NoAnswer",
    "Option",
    "OtpClient",
    "OtpError",
    "Problem",
    "Status",
    "UnexpectedAnswer",
    "Verified",
]
