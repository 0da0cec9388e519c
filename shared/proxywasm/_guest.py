"""What the module exports: the guest interface, and nothing else of the SDK imports the generated bindings.

The bindings exist only while componentize-py builds a module; that is when this is imported, once, after the
filters.
"""

import logging
import sys
import warnings

from wit_world.imports import host

from ._dispatch import Dispatcher
from .logs import show_unraisable, show_warning

try:
    from wit_world.imports import higress
except ImportError:  # The module is being built for any host.
    higress = None

__all__ = ["Guest"]

# A record of the VM needs neither: there is one thread and one process, and asking for them costs time.
logging.logThreads = False
logging.logProcesses = False
logging.logMultiprocessing = False

# By default both write what may quote a prompt to stderr, which is the log of the proxy too.
warnings.showwarning = show_warning
sys.unraisablehook = show_unraisable

_dispatcher = Dispatcher(host, redis=higress, owns_process=True)


class Guest:
    """The guest interface; bound methods, so that no layer is in between."""

    on_context_create = _dispatcher.on_context_create
    on_vm_start = _dispatcher.on_vm_start
    on_configure = _dispatcher.on_configure
    on_tick = _dispatcher.on_tick

    on_request_headers = _dispatcher.on_request_headers
    on_request_body = _dispatcher.on_request_body
    on_request_trailers = _dispatcher.on_request_trailers
    on_response_headers = _dispatcher.on_response_headers
    on_response_body = _dispatcher.on_response_body
    on_response_trailers = _dispatcher.on_response_trailers

    on_http_call_response = _dispatcher.on_http_call_response
    on_grpc_receive_initial_metadata = _dispatcher.on_grpc_receive_initial_metadata
    on_grpc_receive = _dispatcher.on_grpc_receive
    on_grpc_receive_trailing_metadata = _dispatcher.on_grpc_receive_trailing_metadata
    on_grpc_close = _dispatcher.on_grpc_close
    on_queue_ready = _dispatcher.on_queue_ready
    on_foreign_function = _dispatcher.on_foreign_function

    on_done = _dispatcher.on_done
    on_log = _dispatcher.on_log
    on_delete = _dispatcher.on_delete


if higress is not None:

    class HigressGuest:
        """The interface of what only Higress calls."""

        on_redis_call_response = _dispatcher.on_redis_call_response
