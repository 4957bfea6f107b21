"""Set-up: brings and runs what a fresh machine lacks, for ``make run`` and ``make test``.

Takes nothing from the service and gives it a Redis-compatible server, a virtualenv, a browser and Node.
Nothing in ``tidings``, ``webapp`` or ``tasks`` imports it; production does not need it.
"""
