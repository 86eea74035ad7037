"""The Kubernetes API, reached through SSH tunnels to control planes. Objects go in and come out as dictionaries.

It opens connections only when asked something, keeps them, and takes the next control plane when one does not answer.
Nothing here waits for a condition (see `conditions`) and nothing here decides what the cluster shall be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Final, TypeVar

import httpx2
from lightkube import ApiError as LightkubeApiError
from lightkube import Client, KubeConfig
from lightkube.config.models import Cluster, User
from lightkube.core import decoders
from lightkube.generic_resource import GenericGlobalResource, GenericNamespacedResource, create_api_info
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.types import PatchType

from kubeforge.cluster.credentials import Credentials, tls_context
from kubeforge.cluster.kinds import KINDS, Kind, Obj
from kubeforge.cluster.tunnel import Opener, TunnelTransport
from kubeforge.errors import ApiError, ApiUnavailable
from kubeforge.spec.paths import API_PORT

__all__ = ["FIELD_MANAGER", "Api"]

FIELD_MANAGER: Final = "kubeforge"
_SERVER: Final = f"https://kubernetes:{API_PORT}"  # a name every API server certificate has; the tunnel decides where
_TIMEOUT: Final = 15.0
_PARALLEL: Final = 6
_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PASSING: Final = (0, 429, 500, 502, 503, 504)  # answers of an API server that starts, stops or waits for etcd
T = TypeVar("T")
S = TypeVar("S")


def _prepare_types() -> None:
    """Let msgspec prepare what lightkube decodes into, while only one thread can be here: the import.

    msgspec 0.22 does that at a type's first use and unguarded; a second thread that comes at that moment reads a null
    pointer, and the interpreter dies of SIGSEGV.
    """
    ObjectMeta.from_dict({})
    decoders.decode_status(b"{}")
    decoders.decode_list(b'{"metadata": {}, "items": []}', dict)


_prepare_types()


class Api:
    """A client for one cluster. May be used from several threads.

    Args:
        openers: ways to an API server's port, tried in this order.
        credentials: who we are, and the CA we trust.
        timeout: seconds that an answer may take.
    """

    def __init__(self, openers: Sequence[Opener], credentials: Credentials, *, timeout: float = _TIMEOUT) -> None:
        self.ca = credentials.ca  # PEM
        self._transport = TunnelTransport(openers, tls_context(credentials))
        self._timeout = timeout
        limit = httpx2.Timeout(timeout)
        # `insecure` stops lightkube from making a TLS context of its own: ours, in the transport, verifies.
        config = KubeConfig.from_one(cluster=Cluster(server=_SERVER, insecure=True), user=User())
        self._client = Client(
            config=config, transport=self._transport, timeout=limit, field_manager=FIELD_MANAGER, trust_env=False
        )
        self._http = httpx2.Client(transport=self._transport, base_url=_SERVER, timeout=limit, trust_env=False)
        self._kinds: dict[tuple[str, str], Kind] = dict(KINDS)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    # paths that are not objects

    def text(self, path: str) -> tuple[int, str]:
        """GET a path such as `/readyz`.

        Returns:
            HTTP status and body.

        Raises:
            ApiUnavailable: no API server answers.
        """
        response = self._call(partial(self._http.get, path), path)
        return response.status_code, response.text

    def json(self, path: str) -> Obj:
        """GET a path that answers in JSON, such as `/version`."""
        return self._decoded(self._call(partial(self._http.get, path), path), path)

    def post(self, path: str, body: Obj) -> Obj:
        """POST a question that is no object, such as a SubjectAccessReview."""
        headers = {"Content-Type": "application/json"}
        call = partial(self._http.post, path, content=json.dumps(body), headers=headers)
        return self._decoded(self._call(call, path), path)

    def answer(self, method: str, path: str, body: Obj) -> tuple[int, Obj]:
        """Send a body and return HTTP status and answer whatever they are, for who has to tell refusals apart.

        Raises:
            ApiUnavailable: no API server answers.
        """
        headers = {"Content-Type": "application/json"}
        call = partial(self._http.request, method, path, content=json.dumps(body), headers=headers)
        response = self._call(call, f"{method} {path}")
        try:
            told = response.json()
        except ValueError:  # a balancer's own words
            told = {"message": response.text[:500]}
        return response.status_code, told if isinstance(told, dict) else {"message": str(told)}

    # one object

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Obj | None:
        """Return an object, None where there is none."""
        what = self._class(api_version, kind)
        try:
            return dict(self._call(lambda: self._client.get(what, name, **_in(namespace)), f"get {kind} {name}"))
        except ApiError as error:
            if _is_missing(error):
                return None
            raise

    def objects(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: dict[str, Any] | None = None,
        fields: dict[str, Any] | None = None,
    ) -> list[Obj]:
        """Return objects of one kind; of all namespaces where none is given."""
        what = self._class(api_version, kind)
        where = _in(namespace or ("*" if issubclass(what, GenericNamespacedResource) else None))

        def read() -> list[Obj]:
            found = self._client.list(what, labels=labels, fields=fields, **where)
            return [{"apiVersion": api_version, "kind": kind, **obj} for obj in found]  # items of a list say neither

        return self._call(read, f"list {kind}")

    def metadata(self, api_version: str, kind: str, *, namespace: str) -> list[Obj]:
        """Return the metadata of a namespace's objects of one kind; what is in them stays where it is."""
        known = self._kind(api_version, kind)
        return self.metadata_at(f"/{known.path}/namespaces/{namespace}/{known.plural}")

    def metadata_at(self, path: str) -> list[Obj]:
        """Return the metadata of all objects of a collection, such as `/apis/apps/v1/deployments`."""
        response = self._call(partial(self._http.get, path, headers={"Accept": _METADATA}), f"list {path}")
        items = self._decoded(response, f"list {path}")["items"] or ()  # null: none
        return [dict(item["metadata"]) for item in items]

    def create(self, obj: Obj) -> Obj:
        """Create an object."""
        what = self._class(obj["apiVersion"], obj["kind"])
        return dict(self._call(lambda: self._client.create(what(obj)), _called("create", obj)))

    def apply(self, obj: Obj, *, dry_run: bool = False) -> Obj:
        """Apply an object on the server as field manager `kubeforge`; fields of others that it names become ours."""
        what = self._class(obj["apiVersion"], obj["kind"])
        return dict(
            self._call(lambda: self._client.apply(what(obj), force=True, dry_run=dry_run), _called("apply", obj))
        )

    def patch(self, obj: Obj, change: Any, kind: PatchType = PatchType.MERGE, *, subresource: str = "") -> Obj:
        """Patch an object by a merge patch (or another kind of patch)."""
        path = self.path_of(obj) + (f"/{subresource}" if subresource else "")
        response = self._call(
            lambda: self._http.patch(
                path,
                content=json.dumps(change),
                headers={"Content-Type": kind.value},
                params={"fieldManager": FIELD_MANAGER},
            ),
            _called("patch", obj),
        )
        return self._decoded(response, _called("patch", obj))

    def replace(self, obj: Obj, *, subresource: str = "") -> Obj:
        """Replace an object, or its subresource; its resourceVersion guards against what others did meanwhile."""
        path = self.path_of(obj) + (f"/{subresource}" if subresource else "")
        response = self._call(
            lambda: self._http.put(
                path,
                content=json.dumps(obj),
                headers={"Content-Type": "application/json"},
                params={"fieldManager": FIELD_MANAGER},
            ),
            _called("replace", obj),
        )
        return self._decoded(response, _called("replace", obj))

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> bool:
        """Delete an object; return False where there was none."""
        what = self._class(api_version, kind)
        try:
            self._call(lambda: self._client.delete(what, name, **_in(namespace)), f"delete {kind} {name}")
        except ApiError as error:
            if _is_missing(error):
                return False
            raise
        return True

    def path_of(self, obj: Obj) -> str:
        """Return the URL path of an object."""
        kind = self._kind(obj["apiVersion"], obj["kind"])
        metadata = obj["metadata"]
        space = f"namespaces/{metadata['namespace']}/" if kind.namespaced else ""
        return f"/{kind.path}/{space}{kind.plural}/{metadata['name']}"

    # many objects

    def each(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Make calls side by side and return their results in order.

        The first error is raised when those that had begun have ended; the others are not begun: an API server that
        answers nothing would keep each of them waiting in turn.
        """
        with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
            futures = [pool.submit(call) for call in calls]
            wait(futures, return_when=FIRST_EXCEPTION)
            failed = next((future for future in futures if future.done() and future.exception()), None)
            if failed is not None:
                pool.shutdown(cancel_futures=True)
                failed.result()
        return [future.result() for future in futures]

    # inside

    def _class(self, api_version: str, kind: str) -> Any:
        """Return a lightkube class for a kind; not registered anywhere, so nothing is global."""
        known = self._kind(api_version, kind)
        group, _, version = api_version.rpartition("/")
        base = GenericNamespacedResource if known.namespaced else GenericGlobalResource
        return type(kind, (base,), {"_api_info": create_api_info(group, version, kind, known.plural)})

    def _kind(self, api_version: str, kind: str) -> Kind:
        with self._lock:
            known = self._kinds.get((api_version, kind))
        return known or self._discover(api_version, kind)

    def _discover(self, api_version: str, kind: str) -> Kind:
        path = f"/{'apis' if '/' in api_version else 'api'}/{api_version}"
        status, body = self.text(path)
        resources = json.loads(body).get("resources", []) if status == httpx2.codes.OK else []
        with self._lock:
            for row in resources:
                if "/" not in row["name"]:
                    found = Kind(api_version, row["kind"], row["name"], row["namespaced"])
                    self._kinds.setdefault((api_version, row["kind"]), found)
            known = self._kinds.get((api_version, kind))
        if known is None:
            raise ApiError(f"the cluster does not know kind {kind} of {api_version}", step=path)
        return known

    def _call(self, call: Callable[[], S], what: str) -> S:
        try:
            return call()
        except LightkubeApiError as error:
            raise _api_error(error.status.message or str(error), error.status.code or 0, what) from None
        except httpx2.HTTPStatusError as error:
            raise _api_error(error.response.text[:500], error.response.status_code, what) from None
        except httpx2.HTTPError as error:
            late = f"not within {self._timeout:g} s" if isinstance(error, httpx2.TimeoutException) else error
            raise ApiUnavailable(
                f"the API server does not answer: {late}", step=what, remedy="kubeforge status shows the control plane"
            ) from None

    @staticmethod
    def _decoded(response: httpx2.Response, what: str) -> Obj:
        if response.is_error:
            raise _api_error(response.text[:500], response.status_code, what)
        body: Obj = response.json()
        return body


def _api_error(message: str, status: int, what: str) -> ApiError:
    kind = ApiUnavailable if status in _PASSING else ApiError
    return kind(f"the API refused ({status}): {message}", step=what, status=status)


def _is_missing(error: ApiError) -> bool:
    return error.status == httpx2.codes.NOT_FOUND


def _in(namespace: str | None) -> dict[str, Any]:
    return {"namespace": namespace} if namespace else {}


def _called(verb: str, obj: Obj) -> str:
    return f"{verb} {obj['kind']} {obj['metadata']['name']}"
