"""Why the server refuses what is no request yet.

Knows the texts. Must not know how a request is read.
"""

from otp_service.errors import OtpError


class MalformedRequest(OtpError):
    """The bytes that arrived are not an HTTP request."""

    code = "malformed_request"
    detail = "This is not a valid HTTP/1.1 request (RFC 9112)."
    broken = ("request", "must be HTTP/1.1")


class UriTooLong(OtpError):
    """The request line is longer than any valid one."""

    code = "uri_too_long"
    detail = "The request line is longer than 4094 bytes."
    broken = ("path", "must fit into a request line of 4094 bytes")


class HeadersTooLarge(OtpError):
    """There are too many header fields, or they are too long."""

    code = "headers_too_large"
    detail = "There are too many headers, or they are too long."
    broken = ("headers", "must be at most 64, of 8190 bytes each, 16 KiB in all")


class RequestTimeout(OtpError):
    """The request did not arrive in time."""

    code = "request_timeout"
    detail = "The whole request did not arrive within 10 s."


def unknown_transfer_coding() -> MalformedRequest:
    """Return the refusal of any coding but chunked."""
    error = MalformedRequest("The only Transfer-Encoding that is supported is chunked.")
    error.broken = ("Transfer-Encoding", "must be omitted or chunked")
    return error
