"""What can go wrong while building, in words an author can act on."""


class BuildError(Exception):
    """A build that cannot go on; the message says what, where, and what to change."""
