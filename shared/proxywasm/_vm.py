"""The VM: what all plugins in one module share. Natively several of them may live in one process."""

import os
import random
from collections.abc import MutableMapping

from ._abi import parse_environment
from ._host import Host
from .logs import VmLog
from .metrics import Metrics
from .properties import Properties
from .redis import Redis, RedisHost
from .shared_data import SharedData

__all__ = ["Vm"]


class Vm:
    """A host, and what is kept once per VM."""

    __slots__ = ("context", "host", "log", "metrics", "properties", "redis", "shared", "started")

    def __init__(self, host: Host, redis: RedisHost | None = None) -> None:
        self.host = host
        self.log = VmLog(host)
        self.metrics = Metrics(host)
        self.properties = Properties(host)
        self.shared = SharedData(host)
        self.redis = Redis(redis)
        self.context = 0
        """The effective context: the one that host calls act on."""
        self.started = False

    def act_on(self, context: int) -> None:
        """Make host calls act on another context than the one whose callback this is."""
        if context != self.context:
            self.host.set_effective_context(context)
            self.context = context


def own_process(host: Host, environment: MutableMapping[str, str] = os.environ) -> None:
    """Give a process that is nothing but this VM what the snapshot it starts from has frozen.

    That is the state of `random`, the same in every worker otherwise, and the environment of the build
    machine.
    """
    random.seed(os.urandom(32))
    status, entries = host.get_environment()
    if status == 0:
        environment.clear()
        environment.update(parse_environment(entries))
