"""Verification tokens: what is signed is checked by anyone, and nothing else passes."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from otp_service.crypto.lifetimes import DEVICE_LIFETIME, TOKEN_LIFETIME
from otp_service.crypto.tokens import (
    DEVICE_TYPE,
    REVIEW_TYPE,
    TYPE,
    Issue,
    Signer,
    UnknownSigningKey,
    new_jti,
)
from otp_service.errors import TokenInvalid

ISSUER, AUDIENCE, NOW = "https://otp.example.com", "web", 1_790_000_000
SEED, OLDER = bytes(range(32)), bytes(range(32, 64))
DEVICES = {"d1": bytes(range(64, 96))}
CLAIMS = {"sub": "p0Yk5c1nS0a7", "phone_number": "+12025550100", "purpose": "login"}


def signer() -> Signer:
    """Give a signer with a newest and an older key."""
    return Signer({"s2": SEED, "s1": OLDER}, DEVICES, ISSUER)


def issue(kid: str = "s2", at: int = NOW) -> Issue:
    """Give a new token's id, time and key."""
    return Issue(new_jti(), at, kid)


def token(**changes: Any) -> str:  # noqa: ANN401 - claims
    """Sign the usual claims."""
    return signer().sign(CLAIMS | changes, issue(), audience=AUDIENCE)


def check(text: str, *, audience: str = AUDIENCE, now: int = NOW) -> dict[str, Any]:
    """Check a token as its app does."""
    return signer().check(text, audience=audience, now=now)


def part(value: object) -> str:
    """Write a part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def payload() -> dict[str, Any]:
    """Give the claims of a good token."""
    return check(token())


def forge(header: object, claims: object, sign: Any = None) -> str:  # noqa: ANN401 - bytes to bytes
    """Put a token together by hand."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(sign(signed.encode()) if sign else b'')}"


def sign(text: bytes) -> bytes:
    """Sign as the service does."""
    return Ed25519PrivateKey.from_private_bytes(SEED).sign(text)


HEADER = {"alg": "EdDSA", "typ": TYPE, "kid": "s2"}
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def test_a_signed_token_passes_with_its_claims() -> None:
    """Issuer, audience, times and an id of its own are added; the rest is as given."""
    claims = check(token())
    assert claims.items() >= CLAIMS.items()
    assert (claims["iss"], claims["aud"]) == (ISSUER, AUDIENCE)
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + TOKEN_LIFETIME)
    assert TOKEN_LIFETIME <= 300
    assert len(claims["jti"]) >= 22
    assert check(token())["jti"] != claims["jti"]


def test_callers_claims_cannot_replace_our_own() -> None:
    """Whatever the claims, issuer, audience and times are set by the signer."""
    claims = check(token(iss="x", aud="x", exp=0, iat=0, jti="x"))
    assert (claims["iss"], claims["aud"], claims["iat"]) == (ISSUER, AUDIENCE, NOW)
    assert claims["exp"] == NOW + TOKEN_LIFETIME
    assert claims["jti"] != "x"


def test_the_hand_made_token_of_these_tests_is_good_when_nothing_is_wrong() -> None:
    """So each attack below fails for the one thing that it changes."""
    assert check(forge(HEADER, payload(), sign))["sub"] == CLAIMS["sub"]


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": TYPE, "kid": "s2"},
        {"alg": "None", "typ": TYPE, "kid": "s2"},
        {"alg": "HS256", "typ": TYPE, "kid": "s2"},
        {"alg": "RS256", "typ": TYPE, "kid": "s2"},
        {"alg": "ES256", "typ": TYPE, "kid": "s2"},
        {"alg": "Ed25519", "typ": TYPE, "kid": "s2"},
        {"alg": "eddsa", "typ": TYPE, "kid": "s2"},
        {"alg": ["EdDSA"], "typ": TYPE, "kid": "s2"},
        {"alg": "dir", "enc": "A256GCM", "typ": TYPE, "kid": "s2"},
        HEADER | {"kid": "../../dev/null"},
        HEADER | {"kid": "s2' OR '1'='1"},
        HEADER | {"crit": ["b64"], "b64": False},
        {"typ": TYPE, "kid": "s2"},
        HEADER | {"typ": "JWT"},
        HEADER | {"typ": "at+jwt"},
        HEADER | {"typ": TYPE.upper()},
        {"alg": "EdDSA", "kid": "s2"},
        HEADER | {"kid": "s9"},
        HEADER | {"kid": ""},
        HEADER | {"kid": None},
        HEADER | {"kid": ["s2"]},
        HEADER | {"kid": {"s2": 1}},
        HEADER | {"kid": 2},
        {"alg": "EdDSA", "typ": TYPE},
        HEADER | {"kid": "s1"},
        HEADER | {"crit": ["exp"]},
        [],
        "header",
        b"\xff\xfe",
        b"{" * 500,
        b"[" * 1500,
    ],
    ids=str,
)
def test_a_header_of_another_kind_is_refused(header: object) -> None:
    """One algorithm, one type, own keys only (RFC 8725), even with a signature that would fit."""
    for signature in (sign, None):
        with pytest.raises(TokenInvalid):
            check(forge(header, payload(), signature))


def test_the_public_key_is_no_shared_secret() -> None:
    """HS256 signed with the public key, raw or as PEM, is the classic confusion."""
    key = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    published = signer().key_set()["keys"][0]
    for secret in (PUBLIC, pem, published["x"].encode(), json.dumps(published).encode()):

        def mac(text: bytes, secret: bytes = secret) -> bytes:
            return hmac.digest(secret, text, hashlib.sha256)

        with pytest.raises(TokenInvalid):
            check(forge(HEADER | {"alg": "HS256"}, payload(), mac))


def test_the_key_that_is_named_must_be_the_one_that_signed() -> None:
    """Both are ours: what the older one signed does not pass for the newer one's, nor the other way round."""
    older = Ed25519PrivateKey.from_private_bytes(OLDER)
    assert check(forge(HEADER | {"kid": "s1"}, payload(), older.sign))
    with pytest.raises(TokenInvalid):
        check(forge(HEADER, payload(), older.sign))


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_that_the_token_brings_is_ignored(member: str) -> None:
    """A stranger's key in the header signs nothing, and its presence harms no good token."""
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    x = stranger.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    brought = {
        "jwk": {"kty": "OKP", "crv": "Ed25519", "x": part(x), "kid": "s2"},
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert.pem",
        "x5c": [part(x)],
    }[member]
    with pytest.raises(TokenInvalid):
        check(forge(HEADER | {member: brought}, payload(), stranger.sign))
    assert check(forge(HEADER | {member: brought}, payload(), sign))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float(NOW + 60)},
        {"jti": None},
        {"sub": None},
        {"iat": None},
        {"phone_number": None},
    ],
    ids=str,
)
def test_claims_of_another_kind_are_refused(changes: dict[str, object]) -> None:
    """Signed by us, but for another app, by another issuer, expired, or not whole; None is left out."""
    claims = {name: value for name, value in (payload() | changes).items() if value is not None}
    with pytest.raises(TokenInvalid):
        check(forge(HEADER, claims, sign))


def test_a_token_lives_by_the_stores_clock() -> None:
    """The given time decides, not the host's clock; the last second is valid, the next is not."""
    text = token()
    assert check(text, now=NOW + TOKEN_LIFETIME - 1)
    for late in (NOW + TOKEN_LIFETIME, NOW + 10 * TOKEN_LIFETIME):
        with pytest.raises(TokenInvalid):
            check(text, now=late)


@pytest.mark.parametrize("audience", ["other", "", "WEB", "we", "webb"])
def test_a_token_is_for_one_app(audience: str) -> None:
    """Another app's name, or nearly the same one, does not fit."""
    with pytest.raises(TokenInvalid):
        check(token(), audience=audience)


@settings(deadline=None)
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(data: st.DataObject) -> None:
    """Any change of header, claims or signature voids the token."""
    parts = [base64.urlsafe_b64decode(p + "==") for p in token().split(".")]
    at = data.draw(st.integers(0, 2))
    bit = data.draw(st.integers(0, 8 * len(parts[at]) - 1))
    changed = bytearray(parts[at])
    changed[bit // 8] ^= 1 << bit % 8
    parts[at] = bytes(changed)
    with pytest.raises(TokenInvalid):
        check(".".join(part(p) for p in parts))


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,4}", fullmatch=True))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    """Any other text is refused in the same way."""
    with pytest.raises(TokenInvalid):
        check(text)


def test_an_older_key_still_checks_and_the_newest_signs() -> None:
    """Keys rotate without a lost token: the new key comes first, the old one stays for a while."""
    old = Signer({"s1": OLDER}, DEVICES, ISSUER).sign(CLAIMS, issue("s1"), audience=AUDIENCE)
    assert check(old)["sub"] == CLAIMS["sub"]
    assert jwt.get_unverified_header(token())["kid"] == "s2"
    with pytest.raises(TokenInvalid):
        Signer({"s3": bytes(32)}, DEVICES, ISSUER).check(old, audience=AUDIENCE, now=NOW)


def test_the_same_issue_gives_the_same_bytes_also_after_a_rotation() -> None:
    """Ed25519 signs without randomness: a process with the key signs the same token again, others say so."""
    issued = issue("s1")
    first = Signer({"s1": OLDER}, DEVICES, ISSUER).sign(CLAIMS, issued, audience=AUDIENCE)
    assert signer().kid == "s2"
    assert signer().sign(CLAIMS, issued, audience=AUDIENCE) == first
    with pytest.raises(UnknownSigningKey):
        Signer({"s3": bytes(32)}, DEVICES, ISSUER).sign(CLAIMS, issued, audience=AUDIENCE)


def test_published_keys_check_tokens_and_hold_nothing_private() -> None:
    """The set names every key with what RFC 8037 asks for; PyJWT needs no more."""
    published = signer().key_set()
    assert [key["kid"] for key in published["keys"]] == ["s2", "s1"]
    assert published["keys"][0] == {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "kid": "s2",
        "x": part(PUBLIC),
    }
    text = json.dumps(published)
    assert part(SEED) not in text
    assert part(OLDER) not in text
    text = Signer({"s2": SEED}, DEVICES, ISSUER).sign(CLAIMS, issue(at=4_000_000_000), audience=AUDIENCE)
    claims = jwt.decode(
        text,
        jwt.PyJWKSet.from_dict(dict(published))["s2"],
        algorithms=["EdDSA"],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"verify_iat": False},
    )
    assert claims["sub"] == CLAIMS["sub"]


def test_a_device_token_is_no_proof_even_to_a_backend_that_forgets_its_type() -> None:
    """It has a ring and an audience of its own: neither the published keys nor the app's name accept it."""
    device = signer().sign_device("p0Yk5c1nS0a7", issue(), audience=AUDIENCE)
    assert signer().check_device(device, "p0Yk5c1nS0a7", audience=AUDIENCE, now=NOW)["aud"] == "device:web"
    published = jwt.PyJWKSet.from_dict(signer().key_set())
    assert jwt.get_unverified_header(device)["kid"] not in {key.key_id for key in published.keys}
    for key in published.keys:
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(device, key, algorithms=["EdDSA"], options={"verify_aud": False})
    own = Ed25519PrivateKey.from_private_bytes(DEVICES["d1"]).public_key()
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(device, own, algorithms=["EdDSA"], audience=AUDIENCE)
    with pytest.raises(TokenInvalid):
        check(device)


def test_a_verification_token_is_no_device_token() -> None:
    """Nor is the token of another person, of another app, or of a ring that is gone."""
    device = signer().sign_device("a", issue(), audience=AUDIENCE)
    other = Signer({"s2": SEED}, {"d1": bytes(32)}, ISSUER)
    for text, made, subject, audience in (
        (token(), signer(), CLAIMS["sub"], AUDIENCE),
        (device, signer(), "b", AUDIENCE),
        (device, signer(), "a", "other"),
        (device, signer(), "a", "device:web"),
        (device, other, "a", AUDIENCE),
    ):
        with pytest.raises(TokenInvalid):
            made.check_device(text, subject, audience=audience, now=NOW)


def test_a_device_token_ends_by_the_stores_clock() -> None:
    """The last second is valid, the next is not: a device that was sold is forgotten."""
    device = signer().sign_device("a", issue(), audience=AUDIENCE)
    header = jwt.get_unverified_header(device)
    assert (header["typ"], header["kid"]) == (DEVICE_TYPE, "d1")
    last = NOW + DEVICE_LIFETIME - 1
    assert signer().check_device(device, "a", audience=AUDIENCE, now=last)["exp"] == last + 1
    with pytest.raises(TokenInvalid):
        signer().check_device(device, "a", audience=AUDIENCE, now=last + 1)


def test_a_token_of_a_review_number_is_accepted_by_those_who_ask_for_one_only() -> None:
    """It has a type and an audience of its own, because nobody proved its number."""
    issued = issue("s1")
    text = signer().sign_review(CLAIMS, issued, audience=AUDIENCE)
    header = jwt.get_unverified_header(text)
    assert (header["typ"], header["kid"]) == (REVIEW_TYPE, "s1")
    claims = signer().check_review(text, audience=AUDIENCE, now=NOW + TOKEN_LIFETIME - 1)
    assert claims is not None
    assert claims.items() >= CLAIMS.items()
    assert (claims["aud"], claims["jti"], claims["exp"]) == ("review:web", issued.jti, NOW + TOKEN_LIFETIME)
    assert signer().check_review(text, audience=AUDIENCE, now=None) == claims
    with pytest.raises(TokenInvalid):
        check(text)
    with pytest.raises(TokenInvalid):
        check(text, audience="review:web")


def test_no_other_token_is_one_of_a_review_number() -> None:
    """Nor is an expired one, one of another app, or one that names no number."""
    text = signer().sign_review(CLAIMS, issue(), audience=AUDIENCE)
    nameless = signer().sign_review({"sub": "a"}, issue(), audience=AUDIENCE)
    for given_text, audience, now in (
        (token(), AUDIENCE, NOW),
        (signer().sign(CLAIMS, issue(), audience="review:web"), AUDIENCE, NOW),
        (text, "other", NOW),
        (text, AUDIENCE, NOW + TOKEN_LIFETIME),
        (nameless, AUDIENCE, NOW),
        ("", AUDIENCE, None),
    ):
        assert signer().check_review(given_text, audience=audience, now=now) is None


def test_a_device_outlives_a_rotation_of_the_keys_of_verification_tokens() -> None:
    """So that these can be changed at once when they leak."""
    device = signer().sign_device("a", issue(), audience=AUDIENCE)
    rotated = Signer({"s9": bytes(32)}, {"d2": bytes(range(96, 128)), **DEVICES}, ISSUER)
    assert rotated.check_device(device, "a", audience=AUDIENCE, now=NOW)["sub"] == "a"
