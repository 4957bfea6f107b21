"""``tidings token``: signs, reads and revokes the tokens of who may see what; needs the extra ``token``.

Beside the flow: takes the secret that the service verifies with. Signing and reading ask nobody; revoking
waits for Redis.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from msgspec import to_builtins

from tidings.claims import Claims
from tidings.cli import words
from tidings.cli.client_settings import TokenSettings
from tidings.cli.exits import CommandFailed, Exit
from tidings.cli.operations import say_json
from tidings.errors import InvalidToken, InvalidValue, SettingsError
from tidings.log import Log
from tidings.tokens import SECRET_RULE, Keys


def sign(
    settings: TokenSettings,
    subject: str,
    lifetime_s: int,
    *,
    topics: Iterable[str],
    start: Iterable[str],
    cancel: Iterable[str],
    operator: bool,
    as_json: bool,
) -> Exit:
    """Print a token, good for *lifetime_s* from now. Raises: SettingsError, InvalidValue naming the claim."""
    if lifetime_s > settings.max_token_s:
        raise InvalidValue("--for", f"at most {settings.max_token_s} s (TIDINGS_MAX_TOKEN_S)", lifetime_s)
    keys = _keys(settings)
    token = keys.sign(
        subject, lifetime_s, topics=topics, start=start, cancel=cancel, operator=operator,
        issuer=settings.issuer, audience=settings.audience,
    )  # fmt: skip
    if as_json:
        say_json({"token": token, "claims": _claims(settings, keys, token)})
    else:
        print(token)
    return Exit.OK


def show(settings: TokenSettings, token: str, *, as_json: bool) -> Exit:
    """Print what a token says that is good. Whether it was revoked only the service knows.

    Raises: SettingsError; CommandFailed with what is wrong: who has the secret may know.
    """
    try:
        claims = _claims(settings, _keys(settings), token)
    except InvalidToken as error:
        raise CommandFailed(f"the token is not good: {words.clean(error.reason)}") from error
    if as_json:
        say_json(to_builtins(claims))
    else:
        print("\n".join(words.table(list(_told(claims)))))
    return Exit.OK


def revoke(log: Log, *, subject: str | None, token_id: str | None, as_json: bool) -> Exit:
    """Have a token, or all that somebody was given until now, be good no more. Waits for Redis.

    Raises: LogUnavailable.
    """
    claim, value = ("jti", token_id) if token_id else ("sub", subject)
    log.revoke(claim, value or "")
    if as_json:
        say_json({"revoked": {claim: value}})
    else:
        print(f"{words.clean(value)} revoked")
    return Exit.OK


def _keys(settings: TokenSettings) -> Keys:
    if not settings.secret_key:
        raise SettingsError([f"TIDINGS_SECRET_KEY is not set: {SECRET_RULE}, as the service has it"])
    return Keys.parse(settings.secret_key)


def _claims(settings: TokenSettings, keys: Keys, token: str) -> Claims:
    return keys.verify(
        token, max_lifetime_s=settings.max_token_s, issuer=settings.issuer, audience=settings.audience
    )


def _told(claims: Claims) -> Iterator[list[str]]:
    ends = datetime.fromtimestamp(claims.exp, UTC)
    yield ["subject", words.clean(claims.sub)]
    yield ["until", f"{ends:%Y-%m-%dT%H:%M:%SZ}, in {words.seconds(claims.exp - time.time())}"]
    for name in ("topics", "start", "cancel"):
        if given := getattr(claims, name):
            yield [name, " ".join(given)]
    if claims.operator:
        yield ["operator", "yes"]
    if claims.jti:
        yield ["id", words.clean(claims.jti)]
