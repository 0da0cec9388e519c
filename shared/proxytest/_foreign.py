"""Foreign functions: what one host offers beyond the ABI (Envoy, extensions/common/wasm/foreign.cc)."""

import zlib
from typing import TYPE_CHECKING

from ._abi import Status

if TYPE_CHECKING:
    from ._contexts import Context


def call(context: "Context", name: str, arguments: bytes) -> tuple[Status, bytes]:
    """Run a foreign function; one the host does not have is NOT_FOUND."""
    if name == "compress":
        return Status.OK, zlib.compress(arguments, 9)
    if name == "uncompress":
        try:
            return Status.OK, zlib.decompress(arguments)
        except zlib.error:
            return Status.SERIALIZATION_FAILURE, b""
    if name == "clear_route_cache":
        if context.stream is None:
            return Status.BAD_ARGUMENT, b""
        context.stream.clear_route_cache()
        return Status.OK, b""
    return Status.NOT_FOUND, b""
