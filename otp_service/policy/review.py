"""Review numbers: numbers whose code is known, so that the reviewers of an app store can sign in.

Pure. Knows when an entry counts, and which numbers are nobody's. Must not know how its code is hashed or checked.
"""

import re
from dataclasses import dataclass

MOST_NUMBERS = 10
"""Review numbers of one app."""
DAY = 86_400_000
LONGEST = 90
"""Days for which one may be in use: a code that many people know must not stay."""
HASH = re.compile(
    r"(?P<scheme>[a-z-]{1,32}\.[A-Za-z0-9_-]{1,64}) "
    r"\$argon2id\$v=19\$m=[0-9]{1,7},t=[0-9]{1,3},p=[0-9]{1,3}\$[A-Za-z0-9+/]{22}\$(?P<digest>[A-Za-z0-9+/]{22})"
)
"""A code's hash: the profile and the id of the pepper, then a PHC string of Argon2id."""
_FICTIONAL = re.compile(
    r"\+1[2-9][0-9]{2}55501[0-9]{2}"  # North America: 555-0100 to 555-0199 of each area (ATIS-0300115)
    r"|\+447700900[0-9]{3}|\+441632960[0-9]{3}|\+442079460[0-9]{3}"  # Ofcom, numbers for drama
    r"|\+614915701(?:10|5[6-9])|\+61491570006"  # ACMA, numbers for films
    r"|\+33(?:19900|26191|35301|46571|53649|63998)[0-9]{4}"  # ARCEP, numbers for works of fiction
    r"|\+467017406(?:0[5-9]|[1-9][0-9])"  # PTS, numbers for books and films
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review number: the hash of its code, which has so many `digits`, and the purposes for which it counts.

    It counts from `since` until `expires` (milliseconds since 1970), where a day begins in UTC.
    """

    code: str
    digits: int = 6
    purposes: tuple[str, ...] = ()
    since: int = 0
    expires: int = 0

    @property
    def scheme(self) -> str:
        """The profile and the pepper of the code's hash."""
        return self.code.partition(" ")[0]

    @property
    def digest(self) -> str:
        """The part of the hash that is compared."""
        return self.code.rpartition("$")[2]

    def counts(self, purpose: str, now: int) -> bool:
        """Tell whether it counts for a purpose at a time (milliseconds since 1970)."""
        return purpose in self.purposes and self.is_in_use(now)

    def is_in_use(self, now: int) -> bool:
        """Tell whether its days have come and are not over at a time (milliseconds since 1970)."""
        return self.since <= now < self.expires


def is_fictional(e164: str) -> bool:
    """Tell whether a number is one that a regulator keeps for fiction, so that it never is anybody's."""
    return bool(_FICTIONAL.fullmatch(e164))
