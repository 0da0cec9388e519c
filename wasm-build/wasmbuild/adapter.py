"""The adapter: the one module of our own, between the Proxy-Wasm host and the component's core modules.

It is WebAssembly text made from the WIT world and holds four things.

- Exports ``proxy_on_*``: call the lifted export of the same name, then its post-return, without which the
  shadow stack leaks a little per call until every call fails.
- Host functions: each WIT host function as componentize-py lowers it, calling ``env.proxy_*``. Parameters
  pass straight through; lists among them are freed afterwards, because componentize-py 0.25 copies each
  ``bytes`` argument and forgets the copy (some 200 bytes a request, for ever). A result tuple lies behind a
  return pointer as the canonical ABI lays it out; the status is stored there, and the host gets pointers to
  the places behind it.
- Memory: the host allocates through ``proxy_on_memory_allocate`` while a guest call is in flight. That is the
  component's ``cabi_realloc``, so what the host hands over is owned and freed by the canonical ABI.
- WASI: what the interpreter may still ask for at run time. See `wasi`.

Layout rules: WebAssembly component model, CanonicalABI.md, flattening and tuples.
"""

from . import wasi, wit
from .binary import FuncType

_FREE = """
(import "libc" "free" (func $libc.free (param i32)))
(import "main" "__heap_base" (global $heap_base (mut i32)))

;; Free a copy that was made for a host call. An empty list may point nowhere.
(func $free (param $copy i32)
  (if (i32.ge_u (local.get $copy) (global.get $heap_base)) (then (call $libc.free (local.get $copy)))))
"""

ABI_MARKERS = ("proxy_abi_version_0_2_100", "proxy_abi_version_0_2_1")
"""A host picks the first marker it knows, in export order: Higress the first, stock Envoy the second."""

WASI_IN_HOST = "wasi_snapshot_preview1"

_FLAT = {"u32": ("i32",), "s32": ("i32",), "u64": ("i64",), "s64": ("i64",), "list<u8>": ("i32", "i32")}
_SIZE_AND_ALIGNMENT = {"u32": (4, 4), "s32": (4, 4), "u64": (8, 8), "s64": (8, 8), "list<u8>": (8, 4)}


def _flatten(types: tuple[str, ...]) -> list[str]:
    return [flat for one in types for flat in _FLAT[one]]


def _offsets(types: tuple[str, ...]) -> list[int]:
    """Return the offset of each member of a tuple in memory."""
    offsets, end = [], 0
    for one in types:
        size, alignment = _SIZE_AND_ALIGNMENT[one]
        start = (end + alignment - 1) & -alignment
        offsets.append(start)
        end = start + size
    return offsets


def _signature(params: list[str], results: list[str]) -> str:
    text = "".join(f" (param {one})" for one in params)
    return text + "".join(f" (result {one})" for one in results)


def _host_function(function: wit.Function) -> tuple[str, str]:
    """Return the import of one ABI function and the lowered function that calls it."""
    params = _flatten(function.params)
    outputs = function.results[1:]
    host_params = params + ["i32"] * len(_flatten(outputs))
    imported = (
        f'(import "env" "proxy_{function.abi_name}" '
        f"(func $env.{function.abi_name}{_signature(host_params, ['i32'])}))"
    )
    pushed = [f"(local.get {index})" for index in range(len(params))]
    freed = _freed(function.params)
    name = f'(func (export "host.{function.name}")'
    if not outputs:
        call = f"(call $env.{function.abi_name} {' '.join(pushed)})"
        # The status stays on the stack while the parameters are freed.
        body = "\n  ".join([call, *freed])
        return imported, f"{name}{_signature(params, ['i32'])}\n  {body})"

    pointer = f"(local.get {len(params)})"
    clear, places = [], []
    for one, offset in zip(outputs, _offsets(function.results)[1:], strict=True):
        for part in range(len(_FLAT[one])):
            store = "i64.store" if one == "u64" else "i32.store"
            zero = "(i64.const 0)" if one == "u64" else "(i32.const 0)"
            clear.append(f"({store} offset={offset + 4 * part} {pointer} {zero})")
            places.append(f"(i32.add {pointer} (i32.const {offset + 4 * part}))")
    call = f"(call $env.{function.abi_name} {' '.join(pushed + places)})"
    body = "\n  ".join([*clear, f"(i32.store {pointer} {call})", *freed])
    return imported, f"{name}{_signature([*params, 'i32'], [])}\n  {body})"


def _freed(types: tuple[str, ...]) -> list[str]:
    """Return the calls that free the lists among the parameters."""
    calls, index = [], 0
    for one in types:
        if one == "list<u8>":
            calls.append(f"(call $free (local.get {index}))")
        index += len(_FLAT[one])
    return calls


def host_signatures(world: wit.World) -> dict[str, str]:
    """Return the signature of every ``env`` import by name, as `binary.FuncType` prints it."""
    signatures = {}
    for function in _abi_functions(world):
        params, outputs = _flatten(function.params), _flatten(function.results[1:])
        signatures[f"proxy_{function.abi_name}"] = str(FuncType((*params, *["i32"] * len(outputs)), ("i32",)))
    return signatures


def _abi_functions(world: wit.World) -> list[wit.Function]:
    """Return the host functions that the host itself has; the environment comes through WASI."""
    functions = [function for interface in world.imports.values() for function in interface]
    return [function for function in functions if function.name != "get-environment"]


def _guest_function(function: wit.Function, guest: str) -> tuple[str, str]:
    """Return the imports of one lifted export with its post-return, and the ABI export that calls them."""
    params, results = _flatten(function.params), _flatten(function.results)
    lifted, post = f"$guest.{function.name}", f"$post.{function.name}"
    imported = (
        f'(import "guest" "{guest}#{function.name}" (func {lifted}{_signature(params, results)}))\n'
        f'(import "guest" "cabi_post_{guest}#{function.name}" (func {post}{_signature(results, [])}))'
    )
    call = f"(call {lifted} {' '.join(f'(local.get {index})' for index in range(len(params)))})"
    if results:
        result = len(params)
        body = (
            f"(local i32)\n  (local.set {result} {call})\n"
            f"  (call {post} (local.get {result}))\n  (local.get {result})"
        )
    else:
        body = f"{call}\n  (call {post})"
    export = f'(func (export "proxy_{function.abi_name}"){_signature(params, results)}\n  {body})'
    return imported, export


def generate(world: wit.World, expected: dict[str, tuple[list[str], list[str]]]) -> str:
    """Return the adapter as WebAssembly text.

    *expected* maps each WASI function that the core modules import (``interface#function``) to its core
    parameter and result types.
    """
    imports, functions = [], []
    for function in _abi_functions(world):
        imported, lowered = _host_function(function)
        imports.append(imported)
        functions.append(lowered)
    for interface, lifted in world.exports.items():
        for function in lifted:
            imported, export = _guest_function(function, world.qualified(interface))
            imports.append(imported)
            functions.append(export)
    functions += [f'(func (export "{marker}"))' for marker in ABI_MARKERS]
    functions += [
        wasi.function(name, params, results) for name, (params, results) in sorted(expected.items())
    ]
    return "\n".join(["(module", *imports, wasi.HOST_IMPORTS, _FREE, wasi.PRELUDE, *functions, ")"])


def exports(world: wit.World) -> list[str]:
    """Return the names the finished module exports, in export order."""
    callbacks = [f"proxy_{each.abi_name}" for interface in world.exports.values() for each in interface]
    return ["memory", *ABI_MARKERS, "proxy_on_memory_allocate", *callbacks]
