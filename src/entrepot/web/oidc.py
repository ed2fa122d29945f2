"""Speaking to a provider of OpenID Connect: the authorization code flow with PKCE, and every check of what comes back.

    begin    where to send the browser            state, nonce and the hash of a verifier go along
    finish   code + verifier ──► ID token ──► checked claims

What is checked (OpenID Connect Core 3.1.3.7, RFC 7636, RFC 9207): the provider calls itself what the operator called
it; the token is signed by one of its published keys, with a public-key algorithm; issuer, audience and authorized party
are right; it is not expired and not from the future; its nonce is the one of this very sign-in. A provider that is
slow, silent or huge costs little: answers are bounded in time and size, and what it publishes is kept for an hour.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from entrepot.model.errors import BadCredentials, Unavailable
from entrepot.model.sign_in import Oidc, Proven

if TYPE_CHECKING:
    from joserfc.jwk import Key

__all__ = ["Provider"]

#: Of keys of which one half is public. `none` and those with a shared secret are never taken.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_KEPT: Final = timedelta(hours=1)
#: A key that is not known may be new; so often we look.
_KEYS_AGAIN: Final = timedelta(minutes=1)
#: After a failure the provider is left alone for so long.
_PAUSE: Final = timedelta(seconds=5)
#: Clocks differ.
_LEEWAY_S: Final = 60
_MOST_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 10.0
_MOST_KEYS: Final = 100


@dataclass(frozen=True, slots=True)
class _Published:
    """What the provider says of itself."""

    authorization: str
    token: str
    jwks: str
    userinfo: str | None
    basic: bool
    tells_issuer: bool
    at: datetime


class Provider:
    """The provider that the settings name. One per process; for its event loop."""

    def __init__(self, settings: Oidc, now: Callable[[], datetime]) -> None:
        if settings.issuer is None or settings.client_id is None:
            raise ValueError("there is no provider in these settings")
        self.settings = settings
        self.issuer, self.client_id = settings.issuer, settings.client_id
        self._now = now
        self._lock = asyncio.Lock()
        self._published: _Published | None = None
        self._keys: Mapping[str | None, list[Mapping[str, Any]]] = {}
        self._keys_at: datetime | None = None
        self._failed_at: datetime | None = None

    async def begin(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where the browser goes.

        Raises:
            Unavailable: The provider does not answer, or not as one.
        """
        found = await self._metadata()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        scopes = dict.fromkeys(("openid", *self.settings.scopes))
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{found.authorization}{'&' if '?' in found.authorization else '?'}{urlencode(asked, quote_via=quote)}"

    async def finish(
        self, *, code: str, said_issuer: str | None, redirect_uri: str, nonce: str, verifier: str
    ) -> Proven:
        """Exchange the code, and check who it was given for.

        Args:
            said_issuer: The parameter `iss` of the way back.

        Raises:
            BadCredentials: Something is not right; the message says what, without telling anything secret.
            Unavailable
        """
        found = await self._metadata()
        if said_issuer != self.issuer and (said_issuer is not None or found.tells_issuer):
            raise _bad("the answer came from another provider")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        basic, secret = None, self.settings.client_secret
        if secret is not None and found.basic:
            basic = (quote(self.client_id, safe=""), quote(secret, safe=""))
        else:
            form |= {"client_id": self.client_id, **({} if secret is None else {"client_secret": secret})}
        answer = await self._ask("POST", found.token, form=form, basic=basic)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _bad("it sent no ID token")
        claims = await self._checked(token, nonce)
        claims = await self._with_userinfo(found, answer.get("access_token"), claims)
        return self._proven(claims)

    # Checks

    async def _checked(self, token: str, nonce: str) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError

        header = _header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not (kid is None or isinstance(kid, str)):
            raise _bad("the ID token is not signed with an algorithm that is taken here")
        claims: dict[str, Any] | None = None
        for key in await self._keys_for(kid):
            try:
                claims = dict(jwt.decode(token, key, algorithms=[algorithm]).claims)
                break
            except (JoseError, ValueError):
                continue
        if claims is None:
            raise _bad("the ID token is not signed by the provider")
        self._require_claims(claims, nonce)
        return claims

    def _require_claims(self, claims: Mapping[str, Any], nonce: str) -> None:
        if claims.get("iss") != self.issuer:
            raise _bad("the ID token is of another issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        party = claims.get("azp")
        if self.client_id not in audiences or (len(audiences) > 1 and party is None):
            raise _bad("the ID token is for somebody else")
        if party is not None and party != self.client_id:
            raise _bad("the ID token was given to somebody else")
        now = self._now().timestamp()
        if (expires := _number(claims.get("exp"))) is None or expires <= now - _LEEWAY_S:
            raise _bad("the ID token is expired")
        if (issued := _number(claims.get("iat"))) is None or issued > now + _LEEWAY_S:
            raise _bad("the ID token is from the future; compare the clocks")
        if claims.get("nbf") is not None and ((start := _number(claims["nbf"])) is None or start > now + _LEEWAY_S):
            raise _bad("the ID token is not good yet; compare the clocks")
        shown = claims.get("nonce")
        if not isinstance(shown, str) or not hmac.compare_digest(shown.encode(), nonce.encode()):
            raise _bad("the ID token is of another sign-in")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise _bad("the ID token names nobody")

    async def _with_userinfo(self, found: _Published, access: object, claims: dict[str, Any]) -> dict[str, Any]:
        """What the token does not say, many providers tell only when they are asked for it."""
        settings = self.settings
        wanted = {settings.name_claim, "email", *((settings.groups_claim,) if settings.allowed_groups else ())}
        if found.userinfo is None or not isinstance(access, str) or wanted <= claims.keys():
            return claims
        more = await self._ask("GET", found.userinfo, bearer=access)
        if more.get("sub") != claims["sub"]:
            raise _bad("what it tells of the person is of another person")
        return {**more, **claims}

    def _proven(self, claims: Mapping[str, Any]) -> Proven:
        settings = self.settings
        address = _text(claims, "email")
        email = address if address and claims.get("email_verified") is True else None
        if settings.allowed_domains:
            domain = (email or "").rpartition("@")[2].lower()
            if not domain or domain not in {one.lower() for one in settings.allowed_domains}:
                raise _bad("your verified e-mail address there is in no domain whose people may sign in")
        if settings.allowed_groups:
            groups = claims.get(settings.groups_claim)
            listed = (
                {groups} if isinstance(groups, str) else set(map(str, groups)) if isinstance(groups, list) else set()
            )
            if not listed & set(settings.allowed_groups):
                raise _bad("you are in no group there whose members may sign in")
        name = _text(claims, settings.name_claim) or (address or "").partition("@")[0] or "user"
        return Proven(
            self.issuer, claims["sub"], name, email, _text(claims, "given_name"), _text(claims, "family_name")
        )

    # What the provider publishes

    async def _metadata(self) -> _Published:
        async with self._lock:
            now, found = self._now(), self._published
            if found is not None and timedelta(0) <= now - found.at < _KEPT:
                return found
            if self._failed_at is not None and timedelta(0) <= now - self._failed_at < _PAUSE:
                raise _silent()
            try:
                said = await self._ask("GET", self.issuer.rstrip("/") + "/.well-known/openid-configuration")
                self._published, self._failed_at = self._read(said, now), None
            except (Unavailable, BadCredentials):
                self._failed_at = now
                raise
            return self._published

    def _read(self, said: Mapping[str, Any], now: datetime) -> _Published:
        if said.get("issuer") != self.issuer:
            raise Unavailable("The provider of identities calls itself something else than oidc.issuer says.")
        methods = said.get("token_endpoint_auth_methods_supported")
        return _Published(
            self._endpoint(said, "authorization_endpoint"),
            self._endpoint(said, "token_endpoint"),
            self._endpoint(said, "jwks_uri"),
            self._endpoint(said, "userinfo_endpoint") if said.get("userinfo_endpoint") is not None else None,
            not isinstance(methods, list) or "client_secret_basic" in methods,
            said.get("authorization_response_iss_parameter_supported") is True,
            now,
        )

    def _endpoint(self, said: Mapping[str, Any], name: str) -> str:
        url = said.get(name)
        good = isinstance(url, str) and url.isascii() and url.isprintable() and " " not in url and "#" not in url
        if not good or urlsplit(str(url)).scheme != urlsplit(self.issuer).scheme or not urlsplit(str(url)).hostname:
            raise Unavailable(f"The provider of identities names no {name} that can be used.")
        return str(url)

    async def _keys_for(self, kid: str | None) -> list[Key]:
        """Keys by that name; all of them where the token names none."""
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key

        async with self._lock:
            now, at = self._now(), self._keys_at
            age = None if at is None else now - at
            stale = age is None or not timedelta(0) <= age < _KEPT
            if stale or (kid is not None and kid not in self._keys and age is not None and age >= _KEYS_AGAIN):
                published = self._published
                assert published is not None, "asked for before"
                said = (await self._ask("GET", published.jwks)).get("keys")
                keys: dict[str | None, list[Mapping[str, Any]]] = {}
                for one in said[:_MOST_KEYS] if isinstance(said, list) else ():
                    if isinstance(one, dict) and one.get("kty") in ("RSA", "EC") and one.get("use", "sig") == "sig":
                        keys.setdefault(one.get("kid") if isinstance(one.get("kid"), str) else None, []).append(one)
                self._keys, self._keys_at = keys, now
            raw = [*self._keys.get(kid, ())] if kid is not None else [k for ks in self._keys.values() for k in ks]
        found: list[Key] = []
        for one in raw:
            try:
                found.append(import_key({name: value for name, value in one.items() if name not in ("alg", "key_ops")}))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
        return found

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
        bearer: str | None = None,
    ) -> dict[str, Any]:
        """A JSON object from the provider. Redirects are not followed: it said itself where it is."""
        import httpx2

        headers = {"accept": "application/json"}
        if bearer is not None:
            headers["authorization"] = f"Bearer {bearer}"
        body = b""
        try:
            async with (
                asyncio.timeout(_TIMEOUT_S),
                httpx2.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, auth=basic) as client,
                client.stream(method, url, headers=headers, data=form) as answer,
            ):
                async for block in answer.aiter_bytes():
                    body += block
                    if len(body) > _MOST_BYTES:
                        raise Unavailable("The provider of identities sends too much.")
                status = answer.status_code
        except (httpx2.HTTPError, TimeoutError) as lost:
            raise _silent() from lost
        if method == "POST" and 400 <= status < 500:
            raise _bad("the provider does not take this code; it may have been used already")
        if status != 200:
            raise Unavailable(f"The provider of identities answered with status {status}. Try again in a moment.")
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise Unavailable("The provider of identities sent something that is not a JSON object.")
        return said


def _header(token: str) -> dict[str, Any]:
    part = token.partition(".")[0]
    try:
        said = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise _bad("the ID token cannot be read")
    return said


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.strip()[:254] if isinstance(value, str) else ""


def _bad(why: str) -> BadCredentials:
    return BadCredentials(f"Signing in did not work: {why}.", details={"reason": "oidc"})


def _silent() -> Unavailable:
    return Unavailable("The provider of identities does not answer. Try again in a moment, or use your password.")
