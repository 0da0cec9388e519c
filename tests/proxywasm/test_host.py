"""The contract with the build: protocol, dispatcher and Guest match the WIT, and the SDK imports little."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxywasm._dispatch import Dispatcher
from proxywasm._host import Host
from proxywasm.redis import RedisHost

from .fake_host import FakeHost

WIT = Path(__file__).parents[2] / "wasm-build" / "wit" / "proxy-wasm.wit"


def functions(interface: str) -> dict[str, tuple[int, str]]:
    """The functions of a WIT interface: how many parameters, and what they return."""
    text = WIT.read_text()
    block = text[text.index(f"interface {interface} {{") :].split("\n}")[0]
    found = re.findall(r"^ +([a-z-]+): func\((.*?)\)(?: -> (.*))?;", block, re.MULTILINE)
    return {name.replace("-", "_"): (parameters.count(":"), returned) for name, parameters, returned in found}


def methods(cls: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in vars(cls).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


PYTHON_TYPES = {"u32": "int", "s32": "int", "u64": "int", "s64": "int", "list<u8>": "bytes"}


def python_type(wit: str) -> str:
    inner = re.fullmatch(r"tuple<(.*)>", wit)
    if inner is None:
        return PYTHON_TYPES[wit]
    return f"tuple[{', '.join(PYTHON_TYPES[part] for part in inner[1].split(', '))}]"


@pytest.mark.parametrize(("interface", "protocol"), [("host", Host), ("higress", RedisHost)])
def test_the_protocols_have_exactly_the_functions_of_the_interfaces(interface: str, protocol: type) -> None:
    wanted = functions(interface)
    have = methods(protocol)

    assert set(have) == set(wanted)
    for name, (parameters, returned) in wanted.items():
        assert len(have[name].parameters) - 1 == parameters, name
        annotation = have[name].return_annotation
        assert (annotation.__name__ if annotation is int else str(annotation)) == python_type(returned), name


def test_the_dispatcher_has_exactly_the_functions_the_module_exports() -> None:
    wanted = functions("guest") | functions("higress-guest")
    have = methods(Dispatcher)

    assert set(have) == set(wanted)
    for name, (parameters, returned) in wanted.items():
        assert len(have[name].parameters) - 1 == parameters, name
        assert have[name].return_annotation is (int if returned else None), name


def test_the_fake_host_is_a_host() -> None:
    host: Host = FakeHost()
    redis: RedisHost = FakeHost()

    assert host.done() == redis.redis_init(b"", b"", b"", 0) == 0


GUEST = """
import sys, types, logging
calls = []
class Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args: calls.append(name)
imports = types.ModuleType("wit_world.imports")
for name in {interfaces}:
    setattr(imports, name, Module(name))
sys.modules["wit_world"] = types.ModuleType("wit_world")
sys.modules["wit_world.imports"] = imports
from proxywasm import _guest
guest = _guest.Guest()
print(calls)
print(_guest._dispatcher._vm.redis.is_available)
print(sorted(name for name in dir(guest) if name.startswith("on_")))
guest.on_context_create(1, 0)
print(guest.on_request_headers(2, 0, 1))
"""


def run(code: str) -> list[str]:
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return finished.stdout.splitlines()


@pytest.mark.parametrize("interfaces", [["host"], ["host", "higress"]])
def test_the_guest_exports_everything_and_asks_the_host_for_nothing_when_imported(
    interfaces: list[str],
) -> None:
    calls, has_redis, exports, outcome = run(GUEST.replace("{interfaces}", repr(interfaces)))

    assert calls == "[]"
    assert has_redis == str("higress" in interfaces)
    assert exports == str(sorted(functions("guest")))
    assert outcome == "0"


@pytest.mark.parametrize(
    "heavy", ["asyncio", "socket", "ssl", "email", "http.client", "unittest", "subprocess"]
)
def test_importing_the_sdk_does_not_import(heavy: str) -> None:
    (loaded,) = run(f"import proxywasm, sys; print({heavy!r} in sys.modules)")

    assert loaded == "False"
