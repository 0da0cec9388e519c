"""The wasm engine: any Proxy-Wasm module under wasmtime, linked the way proxy-wasm-cpp-host links it."""

import contextlib
import pathlib
from collections.abc import Callable, Mapping

import wasmtime

from ._errors import Trap
from ._hostcalls import HostCalls
from ._meter import Meter
from ._profile import Profile
from ._signatures import (
    ENV,
    HIGRESS_ENV,
    MAY_LACK_RESULT_POINTERS,
    WRITES_OUTPUTS_ON_FAILURE,
    Kind,
    Signature,
)
from ._wasi import SIGNATURES, WasiCalls
from ._wasm_cache import compiled, engine
from ._wasm_memory import GuestMemory, OutOfBoundsError

_START_ALLOWED = frozenset(
    [
        "proxy_log",
        "fd_write",
        "args_get",
        "args_sizes_get",
        "environ_get",
        "environ_sizes_get",
        "clock_time_get",
        "clock_res_get",
        "random_get",
        "fd_fdstat_get",
        "fd_fdstat_set_flags",
        "fd_prestat_get",
        "fd_prestat_dir_name",
        "poll_oneoff",
        "fd_advise",
        "fd_allocate",
        "fd_datasync",
        "fd_fdstat_set_rights",
        "fd_filestat_get",
        "fd_filestat_set_size",
        "fd_filestat_set_times",
        "fd_pread",
        "fd_pwrite",
        "fd_readdir",
        "fd_renumber",
        "fd_sync",
        "fd_tell",
        "path_create_directory",
        "path_filestat_get",
        "path_filestat_set_times",
        "path_link",
        "path_readlink",
        "path_remove_directory",
        "path_rename",
        "path_symlink",
        "path_unlink_file",
        "sock_accept",
        "sock_recv",
        "sock_send",
        "sock_shutdown",
    ]
)
"""What a module may call while it starts (proxy-wasm-cpp-host, wasm.cc, startVm)."""

_ALLOCATION_ALLOWED = frozenset({"proxy_log", "fd_write", "clock_time_get", "poll_oneoff"})
"""What a module may call while it allocates memory for the host (wasm.h, allocMemory)."""

_INVALID_MEMORY_ACCESS = 6
_ENDLESS_FUEL = 1 << 62
_I32, _I64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
_VALUE_TYPES = {"i": _I32, "I": _I64}


class ModuleError(Exception):
    """A module that no VM can be made of: not for Proxy-Wasm, or not for this host."""


class WasmModule:
    """A Proxy-Wasm module, from wherever it came. With a *meter* it is slower, but counted."""

    def __init__(self, code: bytes, name: str = "module", *, meter: Meter | None = None) -> None:
        self.code = code
        self.name = name
        self.meter = meter

    @classmethod
    def from_file(cls, path: str | pathlib.Path, *, meter: Meter | None = None) -> "WasmModule":
        """Read a module from disk."""
        path = pathlib.Path(path)
        return cls(path.read_bytes(), path.name, meter=meter)

    def start(self, host: HostCalls, profile: Profile, environment: Mapping[str, str]) -> "WasmGuest":
        """Link the module and run its start function. Raises ModuleError or Trap."""
        try:
            module = compiled(self.code, self.meter is not None)
        except wasmtime.WasmtimeError as error:
            raise ModuleError(f"{self.name}: not a module wasmtime can compile: {error}") from None
        guest = WasmGuest(self, module, host, profile, environment)
        guest.initialise()
        return guest


class WasmGuest:
    """A running module."""

    def __init__(
        self,
        source: WasmModule,
        module: wasmtime.Module,
        host: HostCalls,
        profile: Profile,
        environment: Mapping[str, str],
    ) -> None:
        self._host = host
        self._profile = profile
        self._name = name = source.name
        self._meter = meter = source.meter
        self._store = wasmtime.Store(engine(meter is not None))
        if meter is not None:
            self._store.set_fuel(_ENDLESS_FUEL)
        self.abi_version = _abi_version(module, profile, name)
        self._memory = GuestMemory.__new__(GuestMemory)
        instance = self._link(module, environment)
        exports = instance.exports(self._store)
        memory = next((each for each in exports.values() if isinstance(each, wasmtime.Memory)), None)
        if memory is None:
            raise ModuleError(f"{name}: the module exports no memory")
        self._memory.__init__(self._store, memory)  # type: ignore[misc]  # host functions hold the object already
        self._functions = {key: value for key, value in exports.items() if isinstance(value, wasmtime.Func)}
        allocator = self._functions.get("malloc") or self._functions.get("proxy_on_memory_allocate")
        if allocator is None:
            raise ModuleError(f"{name}: the module exports neither malloc nor proxy_on_memory_allocate")
        self._allocator = allocator
        self._memory.allocate = self._allocate
        self._parameter_counts: dict[str, int] = {}

    def initialise(self) -> None:
        """Run `_initialize` and `main`, or `_start`, under the restrictions hosts put on them."""
        with self._host.restricted(_START_ALLOWED):
            if "_initialize" in self._functions:
                self._run("_initialize")
                if "main" in self._functions:
                    self._run("main", 0, 0)
                elif "__main_void" in self._functions:
                    self._run("__main_void")
            elif "_start" in self._functions:
                self._run("_start")

    def exports(self, name: str) -> bool:
        """Tell whether the module exports a callback."""
        return f"proxy_{name}" in self._functions

    def call(self, name: str, *arguments: int) -> int:
        """Run a callback; ABI 0.1.0 took fewer arguments for some."""
        export = f"proxy_{name}"
        count = self._parameter_counts.get(export)
        if count is None:
            count = len(self._functions[export].type(self._store).params)
            self._parameter_counts[export] = count
        if self._meter is None:
            return self._run(export, *arguments[:count])
        fuel = self._store.get_fuel()
        result = self._run(export, *arguments[:count])
        self._meter.add(name, fuel - self._store.get_fuel())
        return result

    def _run(self, export: str, *arguments: int) -> int:
        try:
            result = self._functions[export](self._store, *map(_signed32, arguments))
        except wasmtime.Trap as trap:
            raise Trap(f"{export}: {trap.message.splitlines()[0] if trap.message else trap}") from trap
        except wasmtime.WasmtimeError as error:
            raise Trap(f"{export}: {error}") from error
        return int(result) & 0xFFFFFFFF if isinstance(result, int) else 0

    def _allocate(self, size: int) -> int:
        allowed = _ALLOCATION_ALLOWED if self._profile.restricts_allocation else None
        with self._host.restricted(allowed) if allowed is not None else contextlib.nullcontext():
            return int(self._allocator(self._store, size))

    def _link(self, module: wasmtime.Module, environment: Mapping[str, str]) -> wasmtime.Instance:
        wasi = WasiCalls(self._host, self._memory, environment)
        imports: list[wasmtime.Func] = []
        for wanted in module.imports:
            place = f"{wanted.module}.{wanted.name}"
            if not isinstance(wanted.type, wasmtime.FuncType) or wanted.name is None:
                raise ModuleError(
                    f"{self._name}: Failed to load Wasm module due to a missing import: {place}"
                )
            found = self._host_function(wanted.module, wanted.name, wasi)
            if found is None:
                raise ModuleError(
                    f"{self._name}: Failed to load Wasm module due to a missing import: {place}"
                )
            function_type, function = found
            if not _same_type(function_type, wanted.type):
                raise ModuleError(
                    f"{self._name}: Failed to load Wasm module due to an import type mismatch: {place}"
                )
            imports.append(wasmtime.Func(self._store, function_type, function))
        return wasmtime.Instance(self._store, module, imports)

    def _host_function(
        self, module: str, name: str, wasi: WasiCalls
    ) -> tuple[wasmtime.FuncType, Callable[..., int | None]] | None:
        if module in ("wasi_snapshot_preview1", "wasi_unstable"):
            parameters = SIGNATURES[self._profile.wasi].get(name)
            if parameters is None:
                return None
            results = [] if name == "proc_exit" else [_I32]
            return wasmtime.FuncType([_VALUE_TYPES[each] for each in parameters], results), wasi.function(
                name
            )
        if module != "env":
            return None
        if name == "emscripten_notify_memory_growth":
            return wasmtime.FuncType([_I32], []), lambda _: None
        if name == "pthread_equal":
            return wasmtime.FuncType([_I32, _I32], [_I32]), lambda left, right: int(left == right)
        known = {**ENV, **HIGRESS_ENV} if self._profile.higress_calls else ENV
        signature = known.get(name.removeprefix("proxy_")) if name.startswith("proxy_") else None
        if signature is None:
            return None
        return _function_type(signature), self._marshal(name.removeprefix("proxy_"), signature)

    def _marshal(self, name: str, signature: Signature) -> Callable[..., int]:
        """Wrap a host function: arguments out of linear memory, results into it."""
        method: Callable[..., int | tuple[int | bytes, ...]] = getattr(self._host, name)
        memory = self._memory
        always = name in WRITES_OUTPUTS_ON_FAILURE
        optional = name in MAY_LACK_RESULT_POINTERS

        def call(*flat: int) -> int:
            try:
                values, pointers = _take(signature, memory, flat)
                result = method(*values)
                if not isinstance(result, tuple):
                    return int(result)
                status = int(result[0])
                if status == 0 or always:
                    _put(signature, memory, result[1:], pointers, optional)
            except OutOfBoundsError:
                return _INVALID_MEMORY_ACCESS
            return status

        return call


def _take(
    signature: Signature, memory: GuestMemory, flat: tuple[int, ...]
) -> tuple[list[int | bytes], list[int]]:
    values: list[int | bytes] = []
    position = 0
    for kind in signature.inputs:
        if kind is Kind.BYTES:
            values.append(memory.read(flat[position], flat[position + 1]))
            position += 2
            continue
        value = flat[position]
        if kind is Kind.U32:
            value &= 0xFFFFFFFF
        elif kind is Kind.U64:
            value &= 0xFFFFFFFFFFFFFFFF
        values.append(value)
        position += 1
    return values, [pointer & 0xFFFFFFFF for pointer in flat[position:]]


def _put(
    signature: Signature,
    memory: GuestMemory,
    results: tuple[int | bytes, ...],
    pointers: list[int],
    optional: bool,
) -> None:
    position = 0
    for kind, value in zip(signature.outputs, results, strict=True):
        if isinstance(value, bytes):
            data_pointer, size_pointer = pointers[position], pointers[position + 1]
            position += 2
            if not optional or data_pointer:
                memory.write_u32(data_pointer, memory.give(value))
            if not optional or size_pointer:
                memory.write_u32(size_pointer, len(value))
            continue
        if kind is Kind.U64:
            memory.write_u64(pointers[position], value)
        else:
            memory.write_u32(pointers[position], value)
        position += 1


def _function_type(signature: Signature) -> wasmtime.FuncType:
    parameters: list[wasmtime.ValType] = []
    for kind in signature.inputs:
        if kind is Kind.BYTES:
            parameters += [_I32, _I32]
        else:
            parameters.append(_I64 if kind in (Kind.U64, Kind.S64) else _I32)
    for kind in signature.outputs:
        parameters += [_I32, _I32] if kind is Kind.BYTES else [_I32]
    return wasmtime.FuncType(parameters, [_I32])


def _same_type(left: wasmtime.FuncType, right: wasmtime.FuncType) -> bool:
    return (list(map(str, left.params)), list(map(str, left.results))) == (
        list(map(str, right.params)),
        list(map(str, right.results)),
    )


def _abi_version(module: wasmtime.Module, profile: Profile, name: str) -> str:
    for export in module.exports:
        if export.name in profile.abi_versions:
            return export.name
    raise ModuleError(f"{name}: Missing or unknown Proxy-Wasm ABI version")


def _signed32(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value
