"""How a guest can end a test.

Neither class is an `Exception`: native guests run as Python, and no handler of theirs may survive their own
end.
"""


class Trap(BaseException):
    """The guest hit something that ends its VM."""


class UnsafeForHostError(BaseException):
    """The guest did something that a real proxy does not survive, or only by luck; no test should go on."""
