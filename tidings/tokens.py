"""Signed tokens: who somebody is, what they may see, start and cancel, and until when.

Beside the flow: a project's own server signs, the service verifies, both know the secret. JSON Web Tokens
(RFC 7519) by PyJWT, the extra ``token``. The algorithm is ours, never the token's; and whatever is wrong with
one, the error that refuses it does not say (RFC 8725).
"""

import re
import secrets
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self

import msgspec
from jwt import InvalidTokenError, PyJWS
from msgspec import Struct

from tidings.claims import MAX_NAMES, Claims
from tidings.errors import InvalidToken, InvalidValue
from tidings.process import this_process

ALGORITHM: Final = "HS256"
MIN_SECRET_BYTES: Final = 32
"""As long as the digest. Source: RFC 7518, 3.2."""
MAX_BYTES: Final = 4_000
"""A cookie with its name has to fit into 4,096. Source: RFC 6265, 6.1."""
LEEWAY_S: Final = 30
"""So much may a signer's clock be ahead of ours; one that is behind takes from its tokens' life."""
SECRET_RULE: Final = (
    f"a secret of at least {MIN_SECRET_BYTES} bytes, or pairs kid:secret with commas between them, "
    "of which the first signs"
)

# The signature is the one spelling of 32 bytes: its last digit carries 4 of its 6 bits.
_TOKEN: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)
_PAIR: Final = re.compile(r"([A-Za-z0-9._~-]{1,64}):([^,]*)")
_jws: Final = PyJWS(algorithms=[ALGORITHM])


class _Header(Struct, forbid_unknown_fields=True):
    """All that a token's header may have: no key of its own, no place to get one, no extension."""

    alg: Literal["HS256"]
    typ: Literal["JWT"] = "JWT"
    kid: str | None = None


@dataclass(frozen=True)
class Keys:
    """The secrets, by their names; the first signs, all verify. One that stands alone has no name."""

    secrets: Mapping[str | None, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``TIDINGS_SECRET_KEY``. Raises: InvalidValue, which does not show it."""
        pairs: dict[str | None, bytes] = {}
        for part in text.split(",") if ":" in text else ():
            found = _PAIR.fullmatch(part.strip())
            if found is None or found[1] in pairs:
                raise InvalidValue("TIDINGS_SECRET_KEY", SECRET_RULE)
            pairs[found[1]] = found[2].encode()
        pairs = pairs or {None: text.encode()}
        if any(len(secret) < MIN_SECRET_BYTES for secret in pairs.values()):
            raise InvalidValue("TIDINGS_SECRET_KEY", SECRET_RULE)
        return cls(pairs)

    def sign(
        self,
        subject: str,
        lifetime_s: int,
        *,
        topics: Iterable[str] = (),
        start: Iterable[str] = (),
        cancel: Iterable[str] = (),
        operator: bool = False,
        token_id: str | None = None,
        issuer: str = "tidings",
        audience: str = "tidings",
    ) -> str:
        """Make a token for *subject*, good for *lifetime_s* from now; *token_id* is made here unless given.

        Raises: InvalidValue naming the claim.
        """
        now = int(time.time())
        claims = Claims(
            iss=issuer,
            sub=subject,
            aud=audience,
            exp=now + lifetime_s,
            iat=now,
            jti=token_id or secrets.token_hex(16),
            topics=_names("topics", topics),
            start=_names("start", start),
            cancel=_names("cancel", cancel),
            operator=operator,
        )
        kid, secret = next(iter(self.secrets.items()))
        headers = {"typ": "JWT"} if kid is None else {"typ": "JWT", "kid": kid}
        token: str = _jws.encode(msgspec.json.encode(claims), secret, ALGORITHM, headers=headers)
        if len(token) > MAX_BYTES:
            raise InvalidValue("token", f"at most {MAX_BYTES} bytes: a token with fewer names", len(token))
        return token

    def verify(
        self, token: str, *, max_lifetime_s: float, issuer: str = "tidings", audience: str = "tidings"
    ) -> Claims:
        """Read a token that one of the secrets signed and that is good now. Raises: InvalidToken."""
        try:
            claims = msgspec.json.decode(self._payload(token), type=Claims)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidTokenError) as error:
            raise InvalidToken(str(error)) from error
        now = time.time()
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if claims.iss != issuer or audience not in audiences:
            raise InvalidToken("it is for somebody else")
        if not now < claims.exp <= now + max_lifetime_s + LEEWAY_S:
            raise InvalidToken("it is over, or good for too long")
        if max(claims.nbf, claims.iat) > now + LEEWAY_S:
            raise InvalidToken("it is not good yet")
        return claims

    def _payload(self, token: str) -> bytes:
        """Give what was signed. Raises: InvalidToken; what PyJWT and msgspec raise."""
        if len(token) > MAX_BYTES or _TOKEN.fullmatch(token) is None:
            raise InvalidToken("it is no token")
        head = token.partition(".")[0]
        header = msgspec.json.decode(urlsafe_b64decode(head + "=" * (-len(head) % 4)), type=_Header)
        secret = self.secrets.get(header.kid)
        if secret is None:
            raise InvalidToken("no secret of that name")
        payload: bytes = _jws.decode_complete(token, secret, [ALGORITHM])["payload"]
        return payload


def revoke(*, subject: str | None = None, token_id: str | None = None) -> None:
    """Have a token be good no more, by its id (``jti``), or all of *subject*'s until now. Waits for Redis.

    Open streams end within a second; whoever signs in anew is let in. Kept for 7 days.
    Raises: InvalidValue unless one of them is given; LogUnavailable.
    """
    named = {"sub": subject, "jti": token_id}
    given = [(claim, value) for claim, value in named.items() if value]
    if len(given) != 1:
        raise InvalidValue("subject", "given, or token_id, and not both")
    this_process().log.revoke(*given[0])


def _names(claim: str, names: Iterable[str]) -> tuple[str, ...]:
    """Give the names of a claim. Raises: InvalidValue for one text, and for too many."""
    if isinstance(names, str):
        raise InvalidValue(claim, "a list of names", names)
    given = tuple(dict.fromkeys(names))
    if len(given) > MAX_NAMES:
        raise InvalidValue(claim, f"at most {MAX_NAMES} names", len(given))
    return given
