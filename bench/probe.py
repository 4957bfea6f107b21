"""Asks a URL again and again and says how long each answer took: ``python -m bench.probe PORT PATH SECONDS``.

Answers one line of JSON: how many, and the latencies in µs, sorted. One connection, kept alive.
"""

import http.client
import json
import sys
import time
from typing import Final

PAUSE_S: Final = 0.02
TIMEOUT_S: Final = 10.0


def main(port: int, path: str, seconds: float) -> None:
    """Ask for *seconds* seconds, 50 times a second at most."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    taken: list[int] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic_ns()
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except TimeoutError:  # counts as its bound: a server that does not answer is not a missing figure
            connection.close()
        taken.append((time.monotonic_ns() - began) // 1000)
        time.sleep(PAUSE_S)
    print(json.dumps(sorted(taken)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
