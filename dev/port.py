"""Set-up: finds out whether the service will be able to bind, before anything is started.

Takes a host and a port, gives nothing or one error that names the remedy. It holds nothing: another process
can still take the port before the service does, and the service then says so itself.
"""

import errno
import socket

from dev.errors import SetUpError


def check_free(host: str, port: int) -> None:
    """Bind *host*:*port* for a moment; may wait for a resolver if *host* is a name.

    Raises: SetUpError that names the port and how to choose another.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            # As gunicorn does: connections that linger after the last run do not make a port busy.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SetUpError(cannot_bind(host, port, error)) from error


def cannot_bind(host: str, port: int, error: OSError) -> str:
    """Return what a person can do about *error*."""
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1  # noqa: PLR2004 -- 65535 is the last port there is
        return f"Port {port} of {host} is in use; choose another: PORT={other} make run"
    if error.errno == errno.EACCES:
        return f"Port {port} is only for root; choose another: PORT=8000 make run"
    return f"Cannot listen on HOST={host}: {error.strerror}"


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on now; another process can take it at any time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
