"""A guest that does what scripts tell it, straight at the ABI, and logs every callback and every answer.

It stands in for the SDK's dispatcher, so that nothing of the SDK is between a scenario and the host. A script
is `callback: call arguments & call arguments; callback: call arguments; ...`. `request_body@2` is the second
time, and `request_body@end` the one with the end of the stream. The script of the filter `a` comes in the
request header `x-a`, and in its configuration for callbacks without a stream. `ret` says what the callback
returns. In arguments `_` is nothing, `+` a space and `x*100` a hundred times x.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from proxywasm._host import Host

_LOG_INFO = 2
_REQUEST_HEADERS = 0
_PLUGIN_CONFIGURATION = 7
_LONG = 200


@dataclass
class Context:
    """A root context or a stream."""

    id: int
    parent: int
    root_id: str = "?"
    script: list[tuple[str, str, list[str]]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class Probe:
    """The guest's callbacks, with the methods of `proxywasm._dispatch.Dispatcher`."""

    def __init__(self, host: Host, **_: object) -> None:
        self._host = host
        self._contexts: dict[int, Context] = {}
        self._last_caller = 0
        self._last_id = 0
        self._last_cas = 0
        self._last_token = 0

    # Callbacks

    def on_context_create(self, context: int, parent: int) -> None:
        made = Context(context, parent)
        self._contexts[context] = made
        if parent:
            made.root_id = self._contexts[parent].root_id
        else:
            made.root_id = self._host.get_property(b"plugin_root_id")[1].decode()
        self._say(made, "context_create" if parent else "root_create")

    def on_vm_start(self, context: int, configuration_size: int) -> int:
        self._say(self._contexts[context], f"vm_start {configuration_size}")
        return 1

    def on_configure(self, context: int, configuration_size: int) -> int:
        root = self._contexts[context]
        _, script = self._host.get_buffer_bytes(_PLUGIN_CONFIGURATION, 0, configuration_size)
        root.script = _parse(script)
        self._say(root, f"configure {configuration_size}")
        return self._run(root, "configure", False, 1)

    def on_tick(self, context: int) -> None:
        root = self._contexts[context]
        self._say(root, "tick")
        self._run(root, "tick", False, 0)

    def on_request_headers(self, context: int, header_count: int, end_of_stream: int) -> int:
        stream = self._contexts[context]
        status, script = self._host.get_header_map_value(_REQUEST_HEADERS, f"x-{stream.root_id}".encode())
        if status == 0:
            stream.script = _parse(script)
        return self._stream_callback(context, "request_headers", f"eos={end_of_stream}", end_of_stream)

    def on_request_body(self, context: int, body_size: int, end_of_stream: int) -> int:
        return self._stream_callback(
            context, "request_body", f"{body_size} eos={end_of_stream}", end_of_stream
        )

    def on_request_trailers(self, context: int, trailer_count: int) -> int:
        return self._stream_callback(context, "request_trailers", f"{trailer_count}", 1)

    def on_response_headers(self, context: int, header_count: int, end_of_stream: int) -> int:
        return self._stream_callback(context, "response_headers", f"eos={end_of_stream}", end_of_stream)

    def on_response_body(self, context: int, body_size: int, end_of_stream: int) -> int:
        return self._stream_callback(
            context, "response_body", f"{body_size} eos={end_of_stream}", end_of_stream
        )

    def on_response_trailers(self, context: int, trailer_count: int) -> int:
        return self._stream_callback(context, "response_trailers", f"{trailer_count}", 1)

    def on_http_call_response(
        self, context: int, token: int, header_count: int, body_size: int, trailer_count: int
    ) -> None:
        root = self._contexts[context]
        self._say(root, f"http_call_response h={header_count} b={body_size} t={trailer_count}")
        self._run(self._contexts.get(self._last_caller, root), "http_call_response", False, 0)

    def on_queue_ready(self, context: int, queue: int) -> None:
        root = self._contexts[context]
        self._say(root, "queue_ready")
        self._run(root, "queue_ready", False, 0)

    def on_log(self, context: int) -> None:
        self._stream_callback(context, "log", "", 0)

    def on_done(self, context: int) -> int:
        stream = self._contexts[context]
        self._say(stream, "done")
        return self._run(stream, "done", False, 1)

    def on_delete(self, context: int) -> None:
        self._stream_callback(context, "delete", "", 0)
        del self._contexts[context]

    def on_foreign_function(self, context: int, function: int, arguments_size: int) -> None:
        self._say(self._contexts[context], "foreign_function")

    def on_grpc_receive_initial_metadata(self, context: int, token: int, header_count: int) -> None:
        self._grpc_callback(context, "grpc_initial", f"{token & 3} h={header_count}")

    def on_grpc_receive(self, context: int, token: int, message_size: int) -> None:
        self._grpc_callback(context, "grpc_receive", f"{token & 3} b={message_size}")

    def on_grpc_receive_trailing_metadata(self, context: int, token: int, trailer_count: int) -> None:
        self._grpc_callback(context, "grpc_trailing", f"{token & 3} t={trailer_count}")

    def on_grpc_close(self, context: int, token: int, grpc_status: int) -> None:
        self._grpc_callback(context, "grpc_close", f"{token & 3} {grpc_status}")

    # Scripts

    def _stream_callback(self, context: int, callback: str, details: str, end: int) -> int:
        stream = self._contexts[context]
        self._say(stream, f"{callback} {details}")
        return self._run(stream, callback, bool(end), 0)

    def _grpc_callback(self, context: int, callback: str, details: str) -> None:
        root = self._contexts[context]
        self._say(root, f"{callback} {details}")
        self._run(self._contexts.get(self._last_caller, root), callback, False, 0)

    def _run(self, context: Context, callback: str, end: bool, result: int) -> int:
        count = context.counts[callback] = context.counts.get(callback, 0) + 1
        for selector, call, arguments in list(context.script):
            name, _, when = selector.partition("@")
            if name != callback or (when and not (end if when == "end" else when == str(count))):
                continue
            if call == "ret":
                result = int(arguments[0])
            else:
                self._do(context, call, arguments)
        return result

    def _do(self, context: Context, call: str, arguments: list[str]) -> None:
        operation: Callable[..., tuple[int, bytes]] = getattr(self, f"_{call}")
        if call in ("call", "gcall", "gstream"):
            self._last_caller = context.id
        status, value = operation(*arguments)
        text = "".join(
            chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in value
        )
        shown = " ".join([call, *arguments[:2]])
        self._log(f"{context.root_id}: {shown} = {status} {text}".rstrip())

    def _say(self, context: Context, text: str) -> None:
        self._log(f"{context.root_id}: > {text}".rstrip())

    def _log(self, text: str) -> None:
        self._host.log(_LOG_INFO, text.encode())

    # Host calls

    def _get(self, header_map: str, name: str) -> tuple[int, bytes]:
        return self._host.get_header_map_value(int(header_map), name.encode())

    def _pairs(self, header_map: str) -> tuple[int, bytes]:
        status, data = self._host.get_header_map_pairs(int(header_map))
        pairs = [
            (key, value) for key, value in _decode(data) if not (key.startswith(b"x-") and len(key) == 3)
        ]
        return status, b"".join(key + b"=" + value + b"|" for key, value in pairs)

    def _setpairs(self, header_map: str, pairs: str) -> tuple[int, bytes]:
        return self._host.set_header_map_pairs(int(header_map), _encode(pairs)), b""

    def _add(self, header_map: str, name: str, value: str) -> tuple[int, bytes]:
        return self._host.add_header_map_value(int(header_map), name.encode(), _bytes(value)), b""

    def _set(self, header_map: str, name: str, value: str) -> tuple[int, bytes]:
        return self._host.replace_header_map_value(int(header_map), name.encode(), _bytes(value)), b""

    def _del(self, header_map: str, name: str) -> tuple[int, bytes]:
        return self._host.remove_header_map_value(int(header_map), name.encode()), b""

    def _size(self, header_map: str) -> tuple[int, bytes]:
        status, size = self._host.get_header_map_size(int(header_map))
        return status, b"1" if status == 0 and size > 0 else b"0"

    def _buf(self, buffer: str, start: str, size: str) -> tuple[int, bytes]:
        status, data = self._host.get_buffer_bytes(int(buffer), int(start), int(size))
        if status:
            return status, b""
        return status, data if len(data) <= _LONG else b"%d bytes" % len(data)

    def _bufstat(self, buffer: str) -> tuple[int, bytes]:
        status, size, flags = self._host.get_buffer_status(int(buffer))
        return (status, b"%d %d" % (size, flags)) if status == 0 else (status, b"")

    def _setbuf(self, buffer: str, start: str, size: str, value: str) -> tuple[int, bytes]:
        return self._host.set_buffer_bytes(int(buffer), int(start), int(size), _bytes(value)), b""

    def _cont(self, kind: str) -> tuple[int, bytes]:
        return self._host.continue_stream(int(kind)), b""

    def _close(self, kind: str) -> tuple[int, bytes]:
        return self._host.close_stream(int(kind)), b""

    def _reply(
        self, status: str, body: str, headers: str = "_", details: str = "_", grpc_status: str = "_"
    ) -> tuple[int, bytes]:
        grpc = -1 if grpc_status == "_" else int(grpc_status)
        answer = self._host.send_local_response(
            int(status), _bytes(details), _bytes(body), _encode(headers), grpc
        )
        return answer, b""

    def _call(self, cluster: str, headers: str, body: str, timeout: str) -> tuple[int, bytes]:
        status, _ = self._host.http_call(
            cluster.encode(), _encode(headers), _bytes(body), b"", int(timeout) & 0xFFFFFFFF
        )
        return status, b""

    def _gcall(
        self, service: str, method: str, metadata: str, message: str, timeout: str
    ) -> tuple[int, bytes]:
        status, token = self._host.grpc_call(
            _grpc_service(service), b"s", method.encode(), _encode(metadata), _bytes(message), int(timeout)
        )
        return self._started(status, token)

    def _gstream(self, service: str, method: str, metadata: str) -> tuple[int, bytes]:
        status, token = self._host.grpc_stream(
            _grpc_service(service), b"s", method.encode(), _encode(metadata)
        )
        return self._started(status, token)

    def _gsend(self, message: str, end: str = "0", token: str = "_") -> tuple[int, bytes]:
        return self._host.grpc_send(self._grpc(token), _bytes(message), int(end)), b""

    def _gcancel(self, token: str = "_") -> tuple[int, bytes]:
        return self._host.grpc_cancel(self._grpc(token)), b""

    def _gclose(self, token: str = "_") -> tuple[int, bytes]:
        return self._host.grpc_close(self._grpc(token)), b""

    def _started(self, status: int, token: int) -> tuple[int, bytes]:
        if status:
            return status, b""
        self._last_token = token
        return status, b"%d" % (token & 3)

    def _grpc(self, token: str) -> int:
        return self._last_token if token == "_" else int(token)

    def _effective(self, context: str = "_") -> tuple[int, bytes]:
        return self._host.set_effective_context(self._last_caller if context == "_" else int(context)), b""

    def _status(self) -> tuple[int, bytes]:
        status, code, message = self._host.get_status()
        return status, b"%d %s" % (code, message)

    def _sget(self, key: str) -> tuple[int, bytes]:
        status, value, cas = self._host.get_shared_data(key.encode())
        if status:
            return status, b""
        self._last_cas = cas
        return status, value

    def _sset(self, key: str, value: str, cas: str = "0") -> tuple[int, bytes]:
        token = self._last_cas if cas == "@" else int(cas)
        return self._host.set_shared_data(key.encode(), _bytes(value), token), b""

    def _qreg(self, name: str) -> tuple[int, bytes]:
        status, self._last_id = self._host.register_shared_queue(name.encode())
        return status, b""

    def _qres(self, name: str) -> tuple[int, bytes]:
        status, queue = self._host.resolve_shared_queue(b"", name.encode())
        if status == 0:
            self._last_id = queue
        return status, b""

    def _qput(self, value: str, queue: str = "_") -> tuple[int, bytes]:
        return self._host.enqueue_shared_queue(self._id(queue), value.encode()), b""

    def _qget(self, queue: str = "_") -> tuple[int, bytes]:
        status, value = self._host.dequeue_shared_queue(self._id(queue))
        return (status, value) if status == 0 else (status, b"")

    def _mdef(self, kind: str, name: str) -> tuple[int, bytes]:
        status, metric = self._host.define_metric(int(kind), name.encode())
        if status:
            return status, b""
        self._last_id = metric
        return status, b"%d" % (metric & 3)

    def _minc(self, offset: str, metric: str = "_") -> tuple[int, bytes]:
        return self._host.increment_metric(self._id(metric), int(offset)), b""

    def _mrec(self, value: str, metric: str = "_") -> tuple[int, bytes]:
        return self._host.record_metric(self._id(metric), int(value)), b""

    def _mget(self, metric: str = "_") -> tuple[int, bytes]:
        status, value = self._host.get_metric(self._id(metric))
        return (status, b"%d" % value) if status == 0 else (status, b"")

    def _prop(self, path: str) -> tuple[int, bytes]:
        status, value = self._host.get_property(path.replace(".", "\0").encode())
        return (status, value) if status == 0 else (status, b"")

    def _setprop(self, path: str, value: str) -> tuple[int, bytes]:
        return self._host.set_property(path.encode(), _bytes(value)), b""

    def _foreign(self, name: str, argument: str) -> tuple[int, bytes]:
        status, result = self._host.call_foreign_function(name.encode(), _bytes(argument))
        return (status, b"%d" % len(result)) if status == 0 else (status, b"")

    def _log_(self, level: str, text: str) -> tuple[int, bytes]:
        return self._host.log(int(level), text.encode()), b""

    def _tick(self, period_ms: str) -> tuple[int, bytes]:
        return self._host.set_tick_period_milliseconds(int(period_ms)), b""

    def _done(self) -> tuple[int, bytes]:
        return self._host.done(), b""

    def _raise(self) -> tuple[int, bytes]:
        raise RuntimeError("the script says so")

    def _id(self, number: str) -> int:
        return self._last_id if number == "_" else int(number)


def _parse(script: bytes) -> list[tuple[str, str, list[str]]]:
    lines = []
    for line in script.decode("latin-1").split(";"):
        selector, _, calls = line.strip().partition(":")
        for text in calls.split("&"):
            call, *arguments = text.split() or [""]
            if call:
                lines.append((selector, "log_" if call == "log" else call, arguments))
    return lines


def _bytes(text: str) -> bytes:
    if text == "_":
        return b""
    what, star, times = text.partition("*")
    return (what * int(times) if star else text.replace("+", " ")).encode()


def _grpc_service(text: str) -> bytes:
    """Encode `pb:name` as a GrpcService with that cluster; anything else goes as it is."""
    kind, _, name = text.partition(":")
    if kind != "pb":
        return _bytes(text)
    envoy_grpc = b"\x0a%c%s" % (len(name), name.encode())
    return b"\x0a%c%s" % (len(envoy_grpc), envoy_grpc)


def _encode(pairs: str) -> bytes:
    if pairs == "_":
        return b""
    split = [pair.split("=", 1) for pair in pairs.split(",")]
    entries = [(name.encode(), value.encode()) for name, value in split]
    sizes = b"".join(struct.pack("<II", len(name), len(value)) for name, value in entries)
    return struct.pack("<I", len(entries)) + sizes + b"".join(n + b"\0" + v + b"\0" for n, v in entries)


def _decode(data: bytes) -> list[tuple[bytes, bytes]]:
    if len(data) < 4:
        return []
    (count,) = struct.unpack_from("<I", data)
    position = 4 + 8 * count
    pairs = []
    for index in range(count):
        key_size, value_size = struct.unpack_from("<II", data, 4 + 8 * index)
        key = data[position : position + key_size]
        value = data[position + key_size + 1 : position + key_size + 1 + value_size]
        pairs.append((key, value))
        position += key_size + value_size + 2
    return pairs
