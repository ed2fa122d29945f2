"""Signing and checking what a webhook is sent."""

from __future__ import annotations

import base64

import pytest

from entrepot import webhooks
from entrepot.model.errors import BadSignature, Invalid, Malformed

# Of the published specification of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIME, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def headers(**changed: str) -> dict[str, str]:
    fields = {"Webhook-Id": ID, "Webhook-Timestamp": str(TIME), "Webhook-Signature": SIGNATURE}
    return {**fields, **{name.replace("_", "-"): value for name, value in changed.items()}}


def test_the_published_example_is_signed_and_verified() -> None:
    assert webhooks.sign(webhooks.key_of(SECRET), ID, TIME, BODY) == SIGNATURE
    assert webhooks.verify(SECRET, headers(), BODY, now=TIME) == {"test": 2432232314}
    assert webhooks.verify(SECRET.removeprefix("whsec_"), headers(), BODY, now=TIME + 299)


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({"Webhook_Id": "msg_other"}, BODY),
        ({"Webhook_Timestamp": str(TIME + 1)}, BODY),
        ({}, BODY + b" "),
        ({}, b'{"test":2432232314}'),
        ({"Webhook_Signature": SIGNATURE.replace("v1", "v2")}, BODY),
        ({"Webhook_Signature": SIGNATURE[:-2]}, BODY),
        ({"Webhook_Signature": "v1,é"}, BODY),
        ({"Webhook_Signature": ""}, BODY),
        ({"Webhook_Id": ""}, BODY),
        ({"Webhook_Timestamp": "soon"}, BODY),
        ({"Webhook_Timestamp": "9" * 400}, BODY),
    ],
)
def test_whatever_was_changed_is_refused(changed: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadSignature):
        webhooks.verify(SECRET, headers(**changed), body, now=TIME)


def test_one_right_signature_among_several_is_enough() -> None:
    several = f"v2,later v1,{base64.b64encode(bytes(32)).decode()} {SIGNATURE}"
    assert webhooks.verify(SECRET, headers(Webhook_Signature=several), BODY, now=TIME)


@pytest.mark.parametrize("off", [-301, 301])
def test_what_was_overheard_is_soon_worthless(off: int) -> None:
    with pytest.raises(BadSignature, match="clocks"):
        webhooks.verify(SECRET, headers(), BODY, now=TIME + off)


def test_a_signed_body_that_is_no_json_is_malformed() -> None:
    signature = webhooks.sign(webhooks.key_of(SECRET), ID, TIME, b"no")
    with pytest.raises(Malformed):
        webhooks.verify(SECRET, headers(Webhook_Signature=signature), b"no", now=TIME)


@pytest.mark.parametrize("secret", ["", "no base64!", base64.b64encode(bytes(23)).decode(), "whsec_"])
def test_a_secret_is_base64_of_enough_bytes(secret: str) -> None:
    with pytest.raises(Invalid, match="24 to 64") as caught:
        webhooks.key_of(secret)
    assert not secret or secret not in str(caught.value)
