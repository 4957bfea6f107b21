"""Tokens that nobody may come in with, each by what is wrong with it. Source: PITFALLS.md, 3.3; RFC 8725.

Made by hand from the parts of a good one: a library that signs would not make most of them.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Final

SECRET: Final = "a secret that is known to the tests alone and long enough"  # noqa: S105 - not one
OTHER: Final = "another secret which nobody but who forges tokens has known"
KID: Final = "new"
HOUR_S: Final = 3_600


def claims(**changes: Any) -> dict[str, Any]:
    """Give the claims of a good token, some of them changed; one that is `...` is left out."""
    now = int(time.time())
    good = {"iss": "tidings", "aud": "tidings", "sub": "mallory", "exp": now + HOUR_S, "topics": ["*"]}
    return {name: value for name, value in (good | changes).items() if value is not ...}


def signed(
    said: Any,
    *,
    secret: str = SECRET,
    digest: str = "sha256",
    padding: str = "",
    **header: Any,
) -> str:
    """Sign what is *said*, JSON or its text, under whatever *header*."""
    head = {"alg": "HS256", "typ": "JWT", "kid": KID} | header
    text = said if isinstance(said, str) else json.dumps(said)
    parts = [
        _coded(json.dumps({name: value for name, value in head.items() if value is not ...})),
        _coded(text),
    ]
    signature = hmac.digest(secret.encode(), ".".join(parts).encode(), digest)
    return ".".join([*parts, _coded(signature)]) + padding


def _coded(what: str | bytes) -> str:
    data = what.encode() if isinstance(what, str) else what
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def good() -> str:
    """Give a token that is good, to be changed."""
    return signed(claims())


def _unsigned(alg: str) -> str:
    return signed(claims(), alg=alg).rpartition(".")[0] + "."


def _with_text(**instead: str) -> str:
    """Sign claims of which some are no JSON that Python would write."""
    text = json.dumps(claims(**{name: f"@{name}@" for name in instead}))
    for name, value in instead.items():
        text = text.replace(f'"@{name}@"', value)
    return signed(text)


def _in_two_spellings() -> str:
    """Spell the last digit of a signature differently: lax readers drop its two spare bits."""
    token = good()
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + digits[digits.index(token[-1]) + 1]


_KEY: Final = {"kty": "oct", "k": _coded(OTHER)}
_NOW: Final = time.time

FORGED: Final[dict[str, Callable[[], str]]] = {
    # who signed it
    "empty": lambda: "",
    "no token": lambda: "password",
    "two parts": lambda: good().rpartition(".")[0],
    "four parts": lambda: f"{good()}.e30",
    "alg none": lambda: _unsigned("none"),
    "alg None": lambda: _unsigned("None"),
    "alg nOnE": lambda: _unsigned("nOnE"),
    "alg none with a signature": lambda: signed(claims(), alg="none"),
    "alg empty": lambda: signed(claims(), alg=""),
    "alg missing": lambda: signed(claims(), alg=...),
    "alg a list": lambda: signed(claims(), alg=["HS256"]),
    "alg in lower case": lambda: signed(claims(), alg="hs256"),
    "another digest": lambda: signed(claims(), alg="HS512", digest="sha512"),
    "another digest under our name": lambda: signed(claims(), digest="sha512"),
    "signed with the public half of a key": lambda: signed(claims(), alg="RS256"),
    "signed by another key": lambda: signed(claims(), secret=OTHER),
    "signed by no key": lambda: signed(claims(), secret=""),
    "signed by a prefix of the key": lambda: signed(claims(), secret=SECRET[:32]),
    "signature cut": lambda: good()[:-1],
    "signature empty": lambda: good().rpartition(".")[0] + ".",
    "signature of the rest alone": lambda: good()[:-4] + "AAAA",
    "signature longer": lambda: good() + "AAAA",
    "signature in another spelling": _in_two_spellings,
    "payload changed": lambda: _swapped(1, json.dumps(claims(sub="admin"))),
    "header changed": lambda: _swapped(0, json.dumps({"alg": "HS256", "kid": KID})),
    # where its key should come from
    "kid unknown": lambda: signed(claims(), kid="old"),
    "kid missing": lambda: signed(claims(), kid=...),
    "kid null": lambda: signed(claims(), kid=None),
    "kid empty": lambda: signed(claims(), kid=""),
    "kid a path": lambda: signed(claims(), kid="../../../../dev/null", secret=""),
    "kid SQL": lambda: signed(claims(), kid="x' UNION SELECT 'x", secret=OTHER),
    "kid a URL": lambda: signed(claims(), kid="https://example.org/key"),
    "kid a number": lambda: signed(claims(), kid=0),
    "kid a list": lambda: signed(claims(), kid=[KID]),
    "kid NUL": lambda: signed(claims(), kid=f"{KID}\0"),
    "jku": lambda: signed(claims(), jku="https://example.org/jwks.json", secret=OTHER),
    "jku beside a good signature": lambda: signed(claims(), jku="https://example.org/jwks.json"),
    "jwk": lambda: signed(claims(), jwk=_KEY, secret=OTHER),
    "x5u": lambda: signed(claims(), x5u="https://example.org/cert.pem", secret=OTHER),
    "x5c": lambda: signed(claims(), x5c=[_coded(OTHER)], secret=OTHER),
    "crit unknown": lambda: signed(claims(), crit=["exp"]),
    "crit empty": lambda: signed(claims(), crit=[]),
    "b64 false": lambda: signed(claims(), b64=False, crit=["b64"]),
    "zip": lambda: signed(claims(), zip="DEF"),
    "typ of an access token": lambda: signed(claims(), typ="at+jwt"),
    "typ null": lambda: signed(claims(), typ=None),
    "header an array": lambda: _headed("[]"),
    "header no JSON": lambda: _headed("{"),
    "header nested deep": lambda: _headed('{"alg":' + "[" * 2_000),
    # how it is spelt
    "padding": lambda: signed(claims(), padding="="),
    "space before": lambda: " " + good(),
    "space behind": lambda: good() + " ",
    "space within": lambda: good().replace(".", " .", 1),
    "line feed behind": lambda: good() + "\n",
    "line feed within": lambda: good()[:9] + "\n" + good()[9:],
    "in quotes": lambda: f'"{good()}"',
    "the other alphabet": lambda: good()[:-9] + "+" + good()[-8:],
    "digits of another script": lambda: good()[:-9] + "\u0663" + good()[-8:],
    "100 KB": lambda: signed(claims(padding="x" * 100_000)),
    "one byte too many": lambda: _of_size(4_001),
    "JWE": lambda: ".".join([_coded('{"alg":"dir","enc":"A128GCM"}'), "", "", "", ""]),
    # what it says
    "no object": lambda: signed("[]"),
    "no JSON": lambda: signed("{"),
    "nested deep": lambda: signed('{"topics":' + "[" * 900),
    "no UTF-8": lambda: signed('{"sub":"\udcff"}'.encode("utf-8", "surrogateescape").decode("latin-1")),
    "exp missing": lambda: signed(claims(exp=...)),
    "exp null": lambda: signed(claims(exp=None)),
    "exp past": lambda: signed(claims(exp=int(_NOW()) - 1)),
    "exp zero": lambda: signed(claims(exp=0)),
    "exp negative": lambda: signed(claims(exp=-1)),
    "exp a string": lambda: signed(claims(exp=str(int(_NOW()) + HOUR_S))),
    "exp a fraction": lambda: signed(claims(exp=_NOW() + HOUR_S + 0.5)),
    "exp 1e400": lambda: _with_text(exp="1e400"),
    "exp NaN": lambda: _with_text(exp="NaN"),
    "exp Infinity": lambda: _with_text(exp="Infinity"),
    "exp of 5,000 digits": lambda: _with_text(exp="9" * 2_000),
    "exp beyond 2^63": lambda: signed(claims(exp=2**63)),
    "exp in milliseconds": lambda: signed(claims(exp=(int(_NOW()) + HOUR_S) * 1_000)),
    "exp true": lambda: signed(claims(exp=True)),
    "exp a list": lambda: signed(claims(exp=[int(_NOW()) + HOUR_S])),
    "exp for longer than may be": lambda: signed(claims(exp=int(_NOW()) + 25 * HOUR_S)),
    "nbf in the future": lambda: signed(claims(nbf=int(_NOW()) + 600)),
    "nbf a string": lambda: signed(claims(nbf="0")),
    "iat in the future": lambda: signed(claims(iat=int(_NOW()) + 600)),
    "iss missing": lambda: signed(claims(iss=...)),
    "iss another": lambda: signed(claims(iss="https://example.org")),
    "iss longer": lambda: signed(claims(iss="tidings.example.org")),
    "iss in capitals": lambda: signed(claims(iss="Tidings")),
    "iss a list": lambda: signed(claims(iss=["tidings"])),
    "aud missing": lambda: signed(claims(aud=...)),
    "aud another": lambda: signed(claims(aud="billing")),
    "aud empty": lambda: signed(claims(aud="")),
    "aud an empty list": lambda: signed(claims(aud=[])),
    "aud others": lambda: signed(claims(aud=["billing", "tidings.example.org"])),
    "aud nested": lambda: signed(claims(aud=[["tidings"]])),
    "aud an object": lambda: signed(claims(aud={"tidings": 1})),
    "sub missing": lambda: signed(claims(sub=...)),
    "sub empty": lambda: signed(claims(sub="")),
    "sub null": lambda: signed(claims(sub=None)),
    "sub a number": lambda: signed(claims(sub=1)),
    "sub too long": lambda: signed(claims(sub="x" * 129)),
    "jti a number": lambda: signed(claims(jti=7)),
    "jti too long": lambda: signed(claims(jti="x" * 129)),
    "topics a string": lambda: signed(claims(topics="*")),
    "topics nested": lambda: signed(claims(topics=[["*"]])),
    "topics an object": lambda: signed(claims(topics={"*": True})),
    "topics of 10,000 entries": lambda: signed(claims(topics=["*"] * 10_000)),
    "topics of 65 entries": lambda: signed(claims(topics=["agents:a"] * 65)),
    "topics with a line feed": lambda: signed(claims(topics=["operations:a\n"])),
    "topics with NUL": lambda: signed(claims(topics=["operations:a\0"])),
    "topics with a space": lambda: signed(claims(topics=["operations:a owners:b"])),
    "topics of no family": lambda: signed(claims(topics=["secrets:a"])),
    "topics a glob": lambda: signed(claims(topics=["operations:a*"])),
    "topics two stars": lambda: signed(claims(topics=["**"])),
    "topics a family alone": lambda: signed(claims(topics=["operations"])),
    "topics a full-width star": lambda: signed(claims(topics=["\uff0a"])),
    "start a string": lambda: signed(claims(start="*")),
    "start with a space": lambda: signed(claims(start=["batch agent"])),
    "cancel a glob": lambda: signed(claims(cancel=["operations:?"])),
}  # fmt: skip


def _swapped(part: int, text: str) -> str:
    parts = good().split(".")
    parts[part] = _coded(text)
    return ".".join(parts)


def _headed(text: str) -> str:
    """Sign good claims under a header that is no header."""
    said = f"{_coded(text)}.{_coded(json.dumps(claims()))}"
    return f"{said}.{_coded(hmac.digest(SECRET.encode(), said.encode(), hashlib.sha256))}"


def _of_size(size: int) -> str:
    """Sign a token of so many bytes, or one more."""
    rest = size - len(signed(claims(padding="")))
    padding = next(n for n in range(rest) if len(signed(claims(padding="x" * n))) >= size)
    return signed(claims(padding="x" * padding))
