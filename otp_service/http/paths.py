"""The variable parts of paths, as the router reads them.

Knows which words are no ids. Must not know any single call.
"""

from werkzeug.routing import BaseConverter, Map


class _ChallengeId(BaseConverter):
    """A challenge's id. The names of calls beside it are none: GET /otp/send is a wrong method, not an unknown id."""

    regex = r"(?!(?:send|options|verify|search)\Z)[^/]+"
    part_isolating = True


class _Number(BaseConverter):
    """A whole number in ASCII digits; werkzeug's own converter takes the digits of any script."""

    regex = r"[0-9]{1,9}"

    def to_python(self, value: str) -> int:
        return int(value)


def install(rules: Map) -> None:
    """Let the application's rules use these parts."""
    rules.converters |= {"challenge": _ChallengeId, "number": _Number}
