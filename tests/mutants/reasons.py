"""Why a mutant may survive: the change makes no difference, or none that anybody can see.

Must not excuse a missing test.
"""

from collections.abc import Mapping

from tests.mutants.found import Mutant

REASONS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("challenge.transitions", "after_outcome"): {
        "or 0, pause_after -> or 1, pause_after": "The longer pause counts, and the other is a second or more.",
    },
    ("challenge.transitions", "_untried"): {
        "place < challenge. -> place <= challenge.": "The newest delivery's own step was tried: it is not listed.",
    },
    ("challenge.transitions", "charged_at"): {
        "strict=False) if -> strict=None) if": "zip takes None for false.",
        ", before, strict=False) if -> , before) if": "False is zip's default.",
    },
    ("crypto.code_hashes", "Claim.encode"): {
        "to_bytes(4, 'big') + -> to_bytes(4) +": "It is the default.",
    },
    ("crypto.code_hashes", "Hasher.hash_here"): {
        "decode('ascii') -> decode('ASCII')": "It is the same encoding.",
    },
    ("crypto.tokens", "_public"): {
        "rstrip('=') -> rstrip('XX=XX')": "The last character of 32 bytes in Base64 stands for four bits: never an X.",
    },
    ("guard.networks", "_network"): {
        "strict=False)) -> strict=None))": "ip_network takes None for false.",
    },
    ("policy.document", "_checked"): {
        "= None with -> = '' with": "Without a draft there are problems.",
    },
    ("policy.document", "_sentence"): {
        "problem) else ' -> problem) and False else '": "Character by character it comes out the same, more slowly.",
    },
    ("policy.document", "_shown"): {
        ") <= _BASIC -> ) < _BASIC": "U+FFFF is no character, is not shown as one, and is no control character either.",
    },
    ("policy.model", "App.host"): {
        "or '') -> or 'XXXX')": "No origin is empty.",
    },
    ("policy.model", "_site"): {
        "or '') -> or 'XXXX')": "Every origin has a host.",
    },
    ("policy.reach", "Reach._select_own"): {
        "(1 << at) -> (1 >> at)": "Later routes are left out twice: by these bits, and by their place.",
        ", (1 << -> , (2 <<": "As above.",
        "place < at -> place <= at": "As above.",
    },
    ("policy.reach", "Reach.covering"): {
        "(bits & -bits -> (bits | -bits": "It is the lowest bit with a minus, which is as long.",
        "('',) -> ('XXXX',)": "Neither is the name of a country.",
    },
    ("policy.reach", "Reach._select_dialled"): {
        "country else ' -> country or True else '": "No prefix begins as what no country is dialled by.",
        "else '' return -> else 'XXXX' return": "No prefix begins so either.",
    },
}
"""By module and function: what was changed, and why that is no other behaviour."""


def reason_of(mutant: Mutant) -> str:
    """Return why a mutant may survive; empty if nothing says so."""
    return REASONS.get((mutant.module, mutant.function), {}).get(mutant.change, "")
