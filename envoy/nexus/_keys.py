"""Keys of providers: Envoy reads them itself, and puts each into the requests to one provider.

No key passes through here: what is rendered names the variable or the file.
"""

from collections.abc import Sequence
from pathlib import Path

from ._nodes import API, HTTP_FILTERS, Node, file_source
from .description import Provider

KEY_FILTER = "key"
"""The name of the upstream filter that puts in a key."""


def secret(provider: Provider, *, rotation: str = "") -> Node:
    """Return the ``Secret`` that holds the key of *provider*.

    Envoy takes over a file that is replaced by renaming. What it cannot see is a file written in place, or
    reached through a symbolic link that is pointed elsewhere, as Kubernetes does it: another *rotation* makes
    it read the file again.
    """
    assert provider.key is not None
    if provider.key.file is not None:
        source: Node = {"filename": str(provider.key.file)}
    else:
        source = {"environment_variable": provider.key.variable}
    extra: Node = {"secrets": {"rotation": {"inline_string": rotation}}} if rotation else {}
    return {"name": _secret_name(provider), "generic_secret": {"secret": source} | extra}


def rotation_of(file: Path) -> str:
    """Return what changes when *file* is written anew, through whatever links; empty when it is not there."""
    try:
        status = file.stat()
    except OSError:
        return ""
    return f"{status.st_ino}-{status.st_mtime_ns}"


def key_filters(provider: Provider, watched: Path | None) -> Sequence[Node]:
    """Return the upstream filters that put the key into a request on its way to *provider*, and no other.

    The key is a static secret, or that in the file *watched*.
    """
    credential: Node = {"name": _secret_name(provider)}
    if watched is not None:
        credential["sds_config"] = file_source(watched)
    injector: Node = {
        "name": KEY_FILTER,
        "typed_config": {
            "@type": f"{HTTP_FILTERS}.credential_injector.v3.CredentialInjector",
            "overwrite": True,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": {
                    "@type": f"{API}.extensions.http.injected_credentials.generic.v3.Generic",
                    "credential": credential,
                    "header_value_prefix": "Bearer ",
                },
            },
        },
    }
    codec: Node = {
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": f"{HTTP_FILTERS}.upstream_codec.v3.UpstreamCodec"},
    }
    return [injector, codec]


def _secret_name(provider: Provider) -> str:
    return f"{provider.name}-key"
