"""What upstream accounts call: delivery reports and inbound messages.

Knows how an account proves itself. Must not know what a report changes. An unknown reference is answered like a
known one, so that the account stops repeating it and cannot find out which references exist.
"""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, request

from otp_service import errors
from otp_service.access.api_keys import digest
from otp_service.http.auth import bearer
from otp_service.http.body import read_body
from otp_service.http.operation import operation
from otp_service.http.schemas.upstreams import ReceivedSchema
from otp_service.http.view import core
from otp_service.policy import ReceiptSettings, Upstream
from otp_service.upstream.mobtexting import receipts
from otp_service.upstream.port import Reply

views = Blueprint("receipts", __name__, url_prefix="/webhooks/mobtexting")
METHODS = ["GET", "POST", "PUT"]


@views.route("/<upstream>", methods=METHODS)
@operation(
    summary="Receive reports and replies, secret as a Bearer token",
    answer=ReceivedSchema,
    problems=(errors.NotFound, errors.ReceiptUnreadable, errors.BodyTooLarge, errors.StoreUnavailable),
    large=True,
)
def receive_reports(upstream: str) -> dict[str, Any]:
    """Take reports as JSON, form or query, in any order; repeats change nothing."""
    return _receive(upstream, bearer())


@views.route("/<upstream>/<secret>", methods=METHODS)
@operation(
    summary="Receive reports and replies, secret in the path",
    answer=ReceivedSchema,
    problems=(errors.NotFound, errors.ReceiptUnreadable, errors.BodyTooLarge, errors.StoreUnavailable),
    large=True,
)
def receive_reports_by_path(upstream: str, secret: str) -> dict[str, Any]:
    """Take reports as JSON, form or query, in any order; repeats change nothing."""
    return _receive(upstream, secret)


def _receive(name: str, secret: str) -> dict[str, Any]:
    known = _authenticated(name, secret)
    raw = read_body()
    signature = request.headers.get("Signature")
    ids = known.signature_ids
    if signature and ids and not any(receipts.signed(raw, signature, webhook_id) for webhook_id in ids):
        raise errors.NotFound
    try:
        content = receipts.content_of(request.content_type or "", raw, request.args)
        if echo := receipts.handshake(request.args, content):
            return {"challenge": echo}
        found = receipts.parse_content(content, _fields(known))
    except receipts.ReceiptError as error:
        core().metrics.receipts.labels("(none)", name, "unreadable", str(error)).inc()
        raise errors.ReceiptUnreadable from None
    for one in found:
        if isinstance(one, Reply):
            core().replies.record_reply(name, one)
        else:
            core().receipts.record_receipt(name, one)
    return {"received": len(found)}


def _fields(known: ReceiptSettings) -> receipts.Fields:
    """Try the field names of the policy before the documented ones."""
    own, usual = known.fields, receipts.DEFAULT
    return receipts.Fields(
        upstream_id=_before(own.get("id"), usual.upstream_id),
        status=_before(own.get("status"), usual.status),
        reference=_before(own.get("reference"), usual.reference),
    )


def _before(name: str | None, usual: Sequence[str]) -> Sequence[str]:
    return (name, *usual) if name else usual


def _authenticated(name: str, secret: str) -> ReceiptSettings:
    """Return the webhook settings of the account with this secret. Raises NotFound, whatever is wrong."""
    upstream: Upstream | None = core().active().policy.upstreams.get(name)
    if upstream is None or upstream.receipts is None or digest(secret) not in upstream.receipts.secrets:
        raise errors.NotFound
    return upstream.receipts
