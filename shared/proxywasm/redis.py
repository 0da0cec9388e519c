"""Redis, asked through the proxy: a service that Higress has beyond the ABI.

Higress keeps a connection per worker and Redis server, and sends what plugins give it. As read in its sources
(`exports.cc` of its proxy-wasm-cpp-host, `async_client_impl.cc` of its Envoy, `redis_wrapper.go` of its
wasm-go):

- `proxy_redis_init` names a cluster, a user, a password and a timeout, and these then hold for the cluster on
  this worker, whoever calls it. The same again changes nothing; anything else closes the connections, and
  what was under way on them fails. It answers BAD_ARGUMENT when the proxy has no such cluster (yet).
- Options stand in the name given to init, behind a `?`: `db` chooses a database; `buffer_flush_timeout` (3 ms
  by default) and `max_buffer_size_before_flush` (1024 bytes) say how long small commands wait for company.
- `proxy_redis_call` takes the name without options, and works from streams and plugins alike: it belongs to
  the root context, which `proxy_on_redis_call_response` is called with. It answers BAD_ARGUMENT without such
  a cluster, INTERNAL_FAILURE without an endpoint in it.
- The callback's status is 0 if there is an answer, which buffer 9 then holds as Redis sent it. Any other
  means that the connection could not be made, broke, or that an answer took longer than the timeout; then the
  connection is closed and all that waits on it fails. Whether Redis has executed the command is not known.
- A refused password shows only in the answers, as NOAUTH. So does a cluster that the proxy has set up anew:
  its connections know nothing of an earlier init.
"""

from collections.abc import Sequence
from typing import Protocol

from ._abi import BufferType, Status, status_name
from ._host import Host
from ._resp import RedisValue, decode_answer, encode_command
from ._tasks import AwaitsCall
from .callouts import received_body, timeout_milliseconds
from .errors import CalloutError, RedisError, UsageError

__all__ = ["Redis", "RedisHost", "received_answer"]


class RedisHost(Protocol):
    """The functions of the WIT interface `higress`; like `Host`, each returns the ABI's status first."""

    def redis_init(self, cluster: bytes, username: bytes, password: bytes, timeout_ms: int, /) -> int:
        """Say how a cluster is to be spoken to."""
        ...

    def redis_call(self, cluster: bytes, query: bytes, /) -> tuple[int, int]:
        """Send an encoded command; return the token of its answer."""
        ...


class Redis:
    """The Redis servers of a VM: which it has introduced itself to, and how."""

    __slots__ = ("_host", "_introduced")

    def __init__(self, host: RedisHost | None) -> None:
        self._host = host
        self._introduced: dict[str, tuple[str, str, str, int]] = {}

    @property
    def is_available(self) -> bool:
        """Whether this build of the module can call Redis."""
        return self._host is not None

    async def call(
        self,
        cluster: str,
        command: Sequence[bytes | str | int],
        *,
        timeout_s: float,
        username: str,
        password: str,
    ) -> RedisValue:
        """Send *command*; see `HostAccess.redis_call`."""
        host = self._host
        if host is None:
            raise UsageError(
                "this module cannot call Redis: that takes Higress, and the module built for it"
                " (python -m wasmbuild ... --host higress)"
            )
        if isinstance(command, (str, bytes)) or not command:
            raise UsageError('a Redis command is a list of its parts, such as ["GET", "key"]')
        name = cluster.partition("?")[0]
        settings = (cluster, username, password, timeout_milliseconds(timeout_s))
        query = encode_command(command)
        try:
            return await self._start(host, name, settings, query)
        except RedisError as error:
            # The command was not executed, and the connection may be one that was never introduced.
            if error.code != "NOAUTH" or not password:
                raise
        self._introduced.pop(name, None)
        return await self._start(host, name, settings, query)

    def _start(
        self, host: RedisHost, name: str, settings: tuple[str, str, str, int], query: bytes
    ) -> AwaitsCall[RedisValue]:
        if self._introduced.get(name) != settings:
            cluster, username, password, timeout_ms = settings
            _check(name, host.redis_init(cluster.encode(), username.encode(), password.encode(), timeout_ms))
            self._introduced[name] = settings
        status, token = host.redis_call(name.encode(), query)
        if status:
            self._introduced.pop(name, None)
        _check(name, status)
        return AwaitsCall(token, name)


def received_answer(host: Host, cluster: str, status: int, size: int) -> RedisValue:
    """Fetch an answer, which the host holds only during `on_redis_call_response`.

    Raises `CalloutError` when there is none, `RedisError` when it is an error.
    """
    if status:
        raise CalloutError(cluster, "no answer: the connection failed, or the time was up")
    try:
        answer = decode_answer(received_body(host, BufferType.REDIS_ANSWER) if size else b"")
    except ValueError as error:
        raise CalloutError(cluster, str(error)) from None
    if isinstance(answer, RedisError):
        raise answer
    return answer


def _check(cluster: str, status: int) -> None:
    if status == Status.BAD_ARGUMENT:
        raise CalloutError(cluster, "refused: the proxy has no such cluster")
    if status == Status.INTERNAL_FAILURE:
        raise CalloutError(cluster, "refused: there is no endpoint in the cluster")
    if status:
        raise CalloutError(cluster, f"refused: {status_name(status)}")
