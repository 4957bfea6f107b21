"""The command line: ``tidings watch|list|show|cancel|token|publish|doctor``.

Beside the flow, at both of its ends: `publish` says events into the log, `token` signs with the service's
secret, the others ask a running service over HTTP. What each command takes is in docs/cli.md. It needs
nothing but the library; with ``tidings[cli]`` `watch` draws bars, and `token` needs ``tidings[token]``.
"""
