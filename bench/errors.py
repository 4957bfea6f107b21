"""Why something was not measured. Not a failure: it is said in the table, and the rest goes on."""


class NotMeasured(Exception):
    """A server, a size or a scenario that cannot be had here; the text is the reason, for the table."""
