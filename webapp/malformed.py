"""What is said, and logged, of a request that gunicorn cannot read.

Takes its exceptions, gives a problem document as everything else that is refused, with the same headers. Of
what was sent nothing is repeated or logged, as gunicorn would: a token may stand in it. Pure.
"""

from collections.abc import Mapping
from http import HTTPStatus
from ssl import SSLError
from typing import Final

from gunicorn.http import errors

from webapp.errors import problem

_STATUSES: Final[Mapping[type[Exception], HTTPStatus]] = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
}


def status_of(error: BaseException) -> HTTPStatus:
    """Give the status for a request at which gunicorn raised *error*: any but 500 is its sender's doing."""
    found = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), None)
    if found is not None:
        return found
    is_malformed = isinstance(error, (errors.ParseException, SSLError))
    return HTTPStatus.BAD_REQUEST if is_malformed else HTTPStatus.INTERNAL_SERVER_ERROR


def written(status: HTTPStatus, headers: Mapping[str, str]) -> bytes:
    """Write a whole answer of *status*, with *headers* beside its own."""
    body = problem(status, status.phrase, "the request could not be read, or not be served").get_data()
    own = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**own, **headers}.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode() + body
