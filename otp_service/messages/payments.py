"""The words of a payment: which fields of a binding stand in a message, and the text around them.

Knows amount and payee only (PSD2 RTS, article 5: the payer sees both). Must not know who requires them.
"""

import json
from collections.abc import Mapping

from otp_service import typed

FIELDS = ("amount", "payee")
BY_NAME: Mapping[str, str] = {name: f"{{{name}}}" for name in FIELDS}
"""The fields by their names, for a text that is shown or registered."""
LONGEST = 40
"""Characters of a field. A longer one is refused: a message must not show a part of it.

Our own limit. A number, two fields of this length and a brand of 20 characters fit into one SMS (160) in English.
"""

PAYMENTS: Mapping[str, str] = {
    "ar": "رمز {brand}: {code} لدفع {amount} إلى {payee}.",
    "de": "{code} bestätigt die Zahlung von {amount} an {payee} bei {brand}.",
    "en": "{code} confirms your payment of {amount} to {payee} with {brand}.",
    "es": "{code} confirma su pago de {amount} a {payee} con {brand}.",
    "fr": "{code} confirme votre paiement de {amount} à {payee} avec {brand}.",
    "hi": "{brand} कोड {code}: {payee} को {amount} का भुगतान।",
    "it": "{code} conferma il pagamento di {amount} a {payee} con {brand}.",
    "nl": "{code} bevestigt uw betaling van {amount} aan {payee} met {brand}.",
    "pt": "{code} confirma o pagamento de {amount} a {payee} com {brand}.",
}
"""The texts by language, over every channel, for a policy without its own."""


def fields_of(binding: str) -> Mapping[str, str]:
    """Return amount and payee of a binding in JSON; empty if one is missing, too long or not on one line."""
    given = json.loads(binding) if binding else None
    if not isinstance(given, dict):
        return {}
    found = {name: " ".join(str(given.get(name, "")).split()) for name in FIELDS}
    return found if all(map(_can_be_shown, found.values())) else {}


def _can_be_shown(text: str) -> bool:
    """Tell whether a field is short and visible. Marks that turn the direction of a text could swap the two fields."""
    return 0 < len(text) <= LONGEST and typed.is_line(text) and len(typed.visible(text)) == len(text)
