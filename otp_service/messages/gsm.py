"""The GSM 7-bit alphabet (3GPP TS 23.038, 6.2.1), which decides how an SMS is encoded and counted.

Knows the two tables. Must not know messages.
"""

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet without its escape character: one septet each."""
GSM_EXTENDED = frozenset("^{}\\[~]|€\f")
"""The extension table: two septets each."""


def fits(text: str) -> bool:
    """Return whether the alphabet has every character of a text."""
    return (GSM_BASIC | GSM_EXTENDED).issuperset(text)
