"""The GSM 7-bit alphabet (3GPP TS 23.038, 6.2.1), which decides how an SMS is encoded and counted.

Knows the two tables, and what the plain type of vendors lacks of them. Must not know messages.
"""

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet without its escape character: one septet each."""
GSM_EXTENDED = frozenset("^{}\\[~]|€\f")
"""The extension table: two septets each."""


PLAIN = (GSM_BASIC | GSM_EXTENDED) - frozenset("ΔΦΓΛΩΠΨΣΘΞ|^\f")
"""What arrives as written without Unicode. The upstream's plain type turns the other characters into question marks."""


def fits(text: str) -> bool:
    """Return whether a text arrives as written without Unicode."""
    return PLAIN.issuperset(text)


def outside(text: str) -> str:
    """Return the characters that make a text Unicode, each once, in the order of the text."""
    return "".join(dict.fromkeys(char for char in text if char not in PLAIN))
