"""The customer's account: credits per service.

Knows the documented service codes and the credits of each. White labels use other codes, so an unknown code gets its
own row. Must not know what is bought.
"""

import threading

# The code itself if the vendor documents no name.
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
"""The service that pays for a channel; an SMS names its service."""
_MOST_SERVICES = 200


class Account:
    """Credits that go down with every charge; many threads may use it."""

    def __init__(self, credits_each: float) -> None:
        self._lock = threading.Lock()
        self._opening = credits_each
        self._credits = dict.fromkeys(SERVICES, credits_each)

    def charge(self, service: str, amount: float) -> bool:
        """Take `amount` from `service`. If too little is left, take nothing and return False."""
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
