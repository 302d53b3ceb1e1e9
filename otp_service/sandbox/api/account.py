"""The customer's account: credits per service.

Knows the documented service codes and what is left of each. A white label has codes of its own, so an unknown
code opens an account row of its own. Must not know what is bought.
"""

import threading

# The letters alone where the vendor gives no name.
SERVICES = {
    "T": "Transactional",
    "P": "Promotional",
    "S": "Service",
    "G": "Global",
    "VOC": "Voice",
    "WAP": "WhatsApp",
    "RCS": "RCS",
    "L": "L",
    "MIP": "MIP",
}
SERVICE_OF = {"whatsapp": "WAP", "rcs": "RCS", "mip": "MIP", "voice": "VOC"}
"""The service that pays for a channel; an SMS names its own."""
_MOST_SERVICES = 200


class Account:
    """Credits that go down with every charge; safe for many threads."""

    def __init__(self, credits_each: float) -> None:
        self._lock = threading.Lock()
        self._opening = credits_each
        self._credits = dict.fromkeys(SERVICES, credits_each)

    def charge(self, service: str, amount: float) -> bool:
        """Take `amount` off `service`; False, and nothing taken, where too little is left."""
        with self._lock:
            if service not in self._credits and len(self._credits) >= _MOST_SERVICES:
                return False
            left = self._credits.setdefault(service, self._opening)
            if left < amount:
                return False
            self._credits[service] = left - amount
            return True

    def rows(self) -> list[dict[str, object]]:
        """Return one balance row per service, as the upstream answers."""
        with self._lock:
            return [
                {
                    "service": service,
                    "name": SERVICES.get(service, service),
                    "postpaid": 0,
                    "credits": left,
                    "charges": 1,
                }
                for service, left in self._credits.items()
            ]
