"""How the host functions look from WebAssembly: parameters flattened, results behind pointers.

Every function takes its inputs in the order of proxy-wasm.wit, then one or two pointers per output, and
returns a status (proxy-wasm-cpp-host, exports.h).
"""

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """A parameter as the ABI means it."""

    U32 = "u32"
    S32 = "s32"
    U64 = "u64"
    S64 = "s64"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of one host function."""

    inputs: tuple[Kind, ...] = ()
    outputs: tuple[Kind, ...] = ()


def _signature(inputs: str, outputs: str = "") -> Signature:
    return Signature(tuple(map(Kind, inputs.split())), tuple(map(Kind, outputs.split())))


ENV: dict[str, Signature] = {
    "log": _signature("u32 bytes"),
    "get_log_level": _signature("", "u32"),
    "get_current_time_nanoseconds": _signature("", "u64"),
    "set_tick_period_milliseconds": _signature("u32"),
    "get_buffer_bytes": _signature("u32 u32 u32", "bytes"),
    "get_buffer_status": _signature("u32", "u32 u32"),
    "set_buffer_bytes": _signature("u32 u32 u32 bytes"),
    "get_header_map_pairs": _signature("u32", "bytes"),
    "set_header_map_pairs": _signature("u32 bytes"),
    "get_header_map_value": _signature("u32 bytes", "bytes"),
    "add_header_map_value": _signature("u32 bytes bytes"),
    "replace_header_map_value": _signature("u32 bytes bytes"),
    "remove_header_map_value": _signature("u32 bytes"),
    "get_header_map_size": _signature("u32", "u32"),
    "continue_stream": _signature("u32"),
    "close_stream": _signature("u32"),
    "send_local_response": _signature("u32 bytes bytes bytes s32"),
    "http_call": _signature("bytes bytes bytes bytes u32", "u32"),
    "grpc_call": _signature("bytes bytes bytes bytes bytes u32", "u32"),
    "grpc_stream": _signature("bytes bytes bytes bytes", "u32"),
    "grpc_send": _signature("u32 bytes u32"),
    "grpc_cancel": _signature("u32"),
    "grpc_close": _signature("u32"),
    "get_status": _signature("", "u32 bytes"),
    "get_shared_data": _signature("bytes", "bytes u32"),
    "set_shared_data": _signature("bytes bytes u32"),
    "register_shared_queue": _signature("bytes", "u32"),
    "resolve_shared_queue": _signature("bytes bytes", "u32"),
    "enqueue_shared_queue": _signature("u32 bytes"),
    "dequeue_shared_queue": _signature("u32", "bytes"),
    "define_metric": _signature("u32 bytes", "u32"),
    "increment_metric": _signature("u32 s64"),
    "record_metric": _signature("u32 u64"),
    "get_metric": _signature("u32", "u64"),
    "get_property": _signature("bytes", "bytes"),
    "set_property": _signature("bytes bytes"),
    "call_foreign_function": _signature("bytes bytes", "bytes"),
    "set_effective_context": _signature("u32"),
    "done": _signature(""),
}
"""Every host function of ABI 0.2.1, without `proxy_`."""

HIGRESS_ENV: dict[str, Signature] = {
    "redis_init": _signature("bytes bytes bytes u32"),
    "redis_call": _signature("bytes bytes", "u32"),
}
"""What Higress adds."""

WRITES_OUTPUTS_ON_FAILURE = frozenset({"http_call", "redis_call"})
"""Functions that write their outputs whatever the status: the token is set to 0 before the call is tried."""

MAY_LACK_RESULT_POINTERS = frozenset({"call_foreign_function"})
"""Functions whose output pointers may be 0 when the guest does not care."""
