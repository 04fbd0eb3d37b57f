"""The datastore that the Kubernetes API is; see `datastore.store.Store` for its verbs.

An edge. Custom resources are Calico's, byte for byte; nodes and pods are Kubernetes' own and only ever patched.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from datastore.cas import ATTEMPTS, found_or_none
from datastore.errors import AlreadyExists, Conflict, DatastoreError, Invalid, NotFound, Unavailable
from datastore.fields import time_text
from datastore.kinds.config_map import ConfigMap
from datastore.kinds.event import Event
from datastore.kinds.ipam import BlockAffinity, IPAMBlock, IPAMHandle
from datastore.kinds.namespace import Namespace
from datastore.kinds.network_policy import KubernetesNetworkPolicy
from datastore.kinds.node import Node
from datastore.kinds.pods import WorkloadEndpoint
from datastore.kinds.secret import Secret
from datastore.kube.access import Access
from datastore.kube.client import (
    JSON,
    MERGE_PATCH,
    METADATA_ALONE,
    PATIENCE_SECONDS,
    STRATEGIC_MERGE_PATCH,
    ApiClient,
    NoAnswer,
)
from datastore.kube.folded_metadata import folded
from datastore.kube.http2 import Response
from datastore.kube.listing import list_all, list_handles, list_pods
from datastore.kube.nodes import node_patch, other_changes
from datastore.kube.objects import (
    Interests,
    Raw,
    by_kind,
    is_meant,
    read_record,
    read_written,
    shown,
    stored_entry,
    summarized,
)
from datastore.kube.paths import CORE, collection, is_custom, item, kind_name, selectors, written_version
from datastore.kube.pod_endpoints import PodEndpoints
from datastore.kube.served_group import ServedGroup
from datastore.kube.uids import mirrored
from datastore.kube.watch_stream import WatchStream
from datastore.merge_patch import merged
from datastore.record import CRD, Resource
from datastore.store import (
    Create,
    Delete,
    InSync,
    Interest,
    Listed,
    Named,
    Summary,
    Unreadable,
    Update,
    WatchEvent,
    Write,
    interest_in,
)
from datastore.watch import ChangeSet, Reported, key_for, key_of

R = TypeVar("R", bound=Resource)
T = TypeVar("T")
S = TypeVar("S", bound=Named)

log = logging.getLogger(__name__)

_Readings: TypeAlias = asyncio.Queue[tuple[type[Resource], ChangeSet] | Exception | None]

_FLAGGED: Mapping[type[Resource], object] = {BlockAffinity: "true", IPAMBlock: True}
"""Kinds whose objects are flagged as deleted before they are deleted, and the flag, as libcalico writes it."""
_MAY_BE_FLAGGED = (*_FLAGGED, IPAMHandle)
"""Those that libcalico flags. A handle that nobody wrote since it was read is deleted by one request here."""
_WRITTEN_OFTEN = (IPAMBlock, IPAMHandle)
"""Kinds of which the server stores what it is sent, so that it need not send all of it back."""
_NO_FIELD_OWNERS: Sequence[Mapping[str, object]] = ({},)
"""What has the server keep no note of who wrote which field, and so make none at later writes, whoever's.

So an assignment takes a sixth less of its processor time. Nothing applies parts of a block, so nobody asks for them.
"""
_NEVER_WRITTEN = (Namespace, ConfigMap, Secret, KubernetesNetworkPolicy)
_NEVER_READ = (Event,)
"""What is written without a look at what is there, which nobody has the right to."""
_SERVERS_OWN = ("resourceVersion", "uid", "creationTimestamp")


class KubeStore:
    """read_access: where the API server is and who we are, read at the first verb. group: see `ServedGroup`."""

    atomic = False

    def __init__(
        self, read_access: Callable[[], Access], patience_seconds: float = PATIENCE_SECONDS, group: str | None = None
    ) -> None:
        self._client = ApiClient(read_access, patience_seconds)
        self._endpoints = PodEndpoints(self._client)
        self.group = ServedGroup(self._client, group)
        self._closed = asyncio.Event()

    @property
    def client(self) -> ApiClient:
        """The connection, for what only Kubernetes can be asked."""
        return self._client

    async def get(self, kind: type[R], name: str, namespace: str | None = None) -> R:
        return await self._present(f"get {key_for(kind, name, namespace)}", kind, name, namespace)

    async def list(self, what: type[R] | Interest[R]) -> Listed[R]:
        interest = interest_in(what)
        found = await self._found(interest, lambda raw: stored_entry(interest.kind, raw)[1])
        objects = [one for one in found if isinstance(one, interest.kind)]
        meant = sorted((one for one in objects if is_meant(interest, one)), key=key_of)
        for record in (unreadable := _unreadable(found)):
            log.error("%s; it is ignored until it is written again", record.reason)
        return Listed(tuple(meant), unreadable)

    async def summarize(self, summary: Summary[R, S]) -> Listed[S]:
        in_one_piece = True
        if summary.kind is IPAMHandle:
            try:
                path = collection(IPAMHandle, await self.group())
                if (handles := await list_handles(self._client, "list ipamhandles", path)) is not None:
                    return cast(Listed[S], Listed(tuple(handles)))
            except NoAnswer:  # so many of them: by pages
                in_one_piece = False
        found = await self._found(Interest(summary.kind), partial(summarized, summary), in_one_piece=in_one_piece)
        kept = [one for one in found if not isinstance(one, (Resource, Unreadable)) and one is not None]
        kept.sort(key=lambda one: (one.namespace or "", one.name))
        return Listed(tuple(kept), _unreadable(found))

    async def scan(self, summary: Summary[R, S], look: Callable[[S], object]) -> tuple[Unreadable, ...]:
        return _unreadable(await self._found(Interest(summary.kind), partial(shown, summary, look)))

    async def create(self, resource: R) -> R:
        kind, what = type(resource), f"create {key_of(resource)}"
        if isinstance(resource, WorkloadEndpoint):
            return cast(R, await self._endpoints.attach(what, resource))
        _require_writable(what, kind)
        if isinstance(resource, Node):
            raise Unavailable(f"{what}: on Kubernetes its kubelet creates it, and has not done so yet")
        try:
            return await self._create(what, resource)
        except AlreadyExists:
            if not await self._finish_deletion(what, resource):
                raise
            return await self._create(what, resource)

    async def update(self, resource: R) -> R:
        kind, what = type(resource), f"update {key_of(resource)}"
        if resource.revision is None:
            raise Invalid(f"{what}: it has no resourceVersion to compare: update what was read from the store")
        _require_writable(what, kind)
        if isinstance(resource, WorkloadEndpoint):
            return cast(R, await self._endpoints.attach(what, resource))
        if isinstance(resource, Node):
            return cast(R, await self._update_node(what, resource))
        return await self._replace(what, resource)

    async def update_status(self, resource: R) -> R:
        what = f"update the status of {key_of(resource)}"
        try:
            return await self._replace(what, resource, "/status")
        except NotFound:  # its definition keeps none apart, or it is gone, as the update finds out
            return await self.update(resource)

    async def patch(self, kind: type[R], name: str, patch: Mapping[str, Any], namespace: str | None = None) -> R:
        what = f"patch {key_for(kind, name, namespace)}"
        if kind in _NEVER_READ:
            path = item(kind, CORE, name, namespace)
            answer = await self._client.request(what, "PATCH", path, _encoded(patch), MERGE_PATCH)
            return read_record(kind, answer.body)
        before = await self._present(what, kind, name, namespace)
        after = _patched(what, before, patch)
        if isinstance(after, (Node, WorkloadEndpoint, *_NEVER_WRITTEN)):
            return await self.update(after)
        if written_version(kind, self.group.version) == CRD and _concerns_what_is_folded(patch):
            return await self._patch_by_updates(what, before, patch)

        async def send(group: str) -> Response:
            path = item(kind, group, name, namespace)
            return await self._client.request(what, "PATCH", path, _encoded(patch), MERGE_PATCH)

        return read_record(kind, (await self.group.send(send)).body)

    async def delete(self, resource: Resource) -> None:
        kind, what = type(resource), f"delete {key_of(resource)}"
        if isinstance(resource, WorkloadEndpoint):
            await self._endpoints.detach(what, resource)
            return
        _require_writable(what, kind)
        if isinstance(resource, Node):
            raise Invalid(f"{what}: on Kubernetes delete the Node itself: kubectl delete node {resource.name}")
        if kind in _FLAGGED and not resource.deleted:
            found = resource if resource.revision else await self._get_stored(what, kind, resource.name, None)
            resource = await self.update(found.with_spec(deleted=_FLAGGED[kind]))
            await self._finish(what, resource)
            return
        await self._remove(what, resource)

    async def write(self, *writes: Write) -> tuple[Resource | None, ...]:
        return tuple([await self._carry_out(write) for write in writes])

    async def watch(self, *interests: type[Resource] | Interest[Any]) -> AsyncIterator[WatchEvent]:
        wanted = by_kind(map(interest_in, interests))
        readings: _Readings = asyncio.Queue(maxsize=len(wanted) or 1)
        reported = {kind: Reported() for kind in wanted}
        unread = set(wanted)
        feeds = [asyncio.create_task(self._feed(kind, meant, readings)) for kind, meant in wanted.items()]
        feeds.append(asyncio.create_task(self._end(readings)))
        try:
            if not unread:
                yield InSync()
            while (reading := await readings.get()) is not None:
                if isinstance(reading, Exception):
                    raise reading
                kind, changes = reading
                for event in reported[kind].fold(changes):
                    yield event
                if kind in unread:
                    unread.remove(kind)
                    if not unread:
                        yield InSync()
        finally:
            for feed in feeds:
                feed.cancel()
            await asyncio.gather(*feeds, return_exceptions=True)

    async def close(self) -> None:
        self._closed.set()
        await self._client.close()

    async def _feed(self, kind: type[Resource], interests: Interests, readings: _Readings) -> None:
        """Hand on what one stream reads. What it did not foresee ends the whole watch, not in silence."""
        try:
            async for changes in WatchStream(self._client, kind, interests, self.group).readings():
                await readings.put((kind, changes))
        except Exception as failure:
            await readings.put(failure)

    async def _end(self, readings: _Readings) -> None:
        await self._closed.wait()
        await readings.put(None)

    async def _found(
        self, interest: Interest[Any], read: Callable[[Raw], T], *, in_one_piece: bool = False
    ) -> Sequence[T]:
        """Return what `read` makes of each object of an interest's kind, without those that are flagged as deleted."""
        kind, what, query = interest.kind, f"list {interest.kind.PLURAL}", selectors(interest)
        if kind is WorkloadEndpoint:
            return await list_pods(self._client, what, collection(kind, CORE, interest.namespace), query, read)

        async def ask(group: str) -> list[T]:
            path = collection(kind, group, interest.namespace)
            return (await list_all(self._client, what, path, query, read, in_one_piece=in_one_piece))[0]

        try:  # what is Kubernetes' own is asked for without a look at the groups
            found = await (self.group.send(ask) if is_custom(kind) else ask(CORE))
        except NotFound:  # its definition is not installed: as libcalico, none
            return []
        for one in found:
            if isinstance(one, Resource) and one.deleted:
                await self._take_up_deletion(one)
        return [one for one in found if not isinstance(one, Resource) or not one.deleted]

    async def _carry_out(self, write: Write) -> Resource | None:
        match write:
            case Create(resource):
                return await self.create(resource)
            case Update(resource):
                return await self.update(resource)
            case Delete(resource):
                await self.delete(resource)
                return None

    async def _present(self, what: str, kind: type[R], name: str, namespace: str | None) -> R:
        """Return an object that is not flagged as deleted. Raises NotFound."""
        found = await self._get_stored(what, kind, name, namespace)
        if found.deleted:
            await self._take_up_deletion(found)
            raise NotFound(f"{what}: it is flagged as deleted")
        return found

    async def _get_stored(self, what: str, kind: type[R], name: str, namespace: str | None) -> R:
        """Return an object, also one that is flagged as deleted. Raises NotFound."""
        if kind is WorkloadEndpoint:
            return cast(R, await self._endpoints.get(what, name, namespace))

        async def ask(group: str) -> Response:
            return await self._client.request(what, "GET", item(kind, group, name, namespace))

        return read_record(kind, (await self.group.send(ask)).body)

    async def _create(self, what: str, resource: R) -> R:
        async def send(group: str) -> R:
            path = collection(type(resource), group, resource.namespace)
            return await self._sent(what, "POST", path, resource, group)

        return await self.group.send(send)

    async def _replace(self, what: str, resource: R, part: str = "") -> R:
        """part: what of the object is written alone, such as `/status`."""

        async def send(group: str) -> R:
            path = item(type(resource), group, resource.name, resource.namespace)
            return await self._sent(what, "PUT", path + part, resource, group)

        return await self.group.send(send)

    async def _sent(self, what: str, method: str, path: str, resource: R, group: str) -> R:
        """Send a record and return it as it is stored then."""
        body = _body(resource, group, fresh=method == "POST")
        accept = METADATA_ALONE if isinstance(resource, _WRITTEN_OFTEN) else JSON
        answer = await self._client.request(what, method, path, body, accept=accept)
        return read_written(resource, group, answer.body)

    async def _patch_by_updates(self, what: str, before: R, patch: Mapping[str, Any]) -> R:
        """Change labels or annotations, which stand in a text of their own. Raises Conflict: it names a revision."""
        kind = type(before)
        for _ in range(ATTEMPTS):
            try:
                return await self.update(_patched(what, before, patch))
            except Conflict:
                if "resourceVersion" in patch["metadata"]:
                    raise
            before = await self._present(what, kind, before.name, before.namespace)
        raise Conflict(f"{what}: lost {ATTEMPTS} races in a row")

    async def _update_node(self, what: str, node: Node) -> Node:
        before = await self._get_stored(what, Node, node.name, None)
        if before.revision != node.revision:
            raise Conflict(f"{what}: it was read at revision {node.revision} and is at {before.revision} now")
        if others := other_changes(before, node):
            raise Invalid(
                f"{what}: {', '.join(others)} of a Node is Kubernetes' to change: use kubectl; nothing was written"
            )
        patch = node_patch(before, node)
        if not patch:
            return before
        path = f"{item(Node, CORE, node.name)}/status"
        answer = await self._client.request(what, "PATCH", path, _encoded(patch), STRATEGIC_MERGE_PATCH)
        return read_record(Node, answer.body)

    async def _finish_deletion(self, what: str, resource: Resource) -> bool:
        """Remove an object of this name that is flagged as deleted; whether there was one."""
        kind = type(resource)
        if kind not in _MAY_BE_FLAGGED:
            return False
        try:
            found = await self._get_stored(what, kind, resource.name, resource.namespace)
            if not found.deleted:
                return False
            await self._remove(what, found)
        except NotFound:
            return True
        return True

    async def _take_up_deletion(self, flagged: Resource) -> None:
        """Finish a deletion that was begun, if it is ours to finish: who began it may have ended in between."""
        with suppress(DatastoreError):
            await self._remove(f"delete {key_of(flagged)}", flagged)

    async def _finish(self, what: str, flagged: Resource) -> None:
        """Remove what this process has flagged. A reader or a create may have done that already."""
        try:
            await self._remove(what, flagged)
        except NotFound:
            return
        except Conflict:
            there = await found_or_none(self._get_stored(what, type(flagged), flagged.name, None))
            if there is not None and there.metadata.uid == flagged.metadata.uid:
                raise

    async def _remove(self, what: str, resource: Resource) -> None:
        kind = type(resource)

        async def send(group: str) -> None:
            stored = (
                ("uid", _stored_uid(kind, resource.metadata.uid, group)),
                ("resourceVersion", resource.revision),
            )
            preconditions = {key: value for key, value in stored if value is not None}
            body = _encoded({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions})
            await self._client.request(what, "DELETE", item(kind, group, resource.name, resource.namespace), body)

        await self.group.send(send)


def _unreadable(found: Iterable[object]) -> tuple[Unreadable, ...]:
    return tuple(one for one in found if isinstance(one, Unreadable))


def _body(resource: Resource, group: str, *, fresh: bool = False) -> bytes:
    """Return the record as it is sent. group: of Calico's resources. fresh: without what the server alone writes."""
    kind, version = type(resource), written_version(type(resource), group)
    record = resource.to_json() | {"apiVersion": version, "kind": kind_name(kind, group)}
    if fresh:
        record["metadata"] = {k: v for k, v in record["metadata"].items() if k not in _SERVERS_OWN}
    elif uid := record["metadata"].get("uid"):
        record["metadata"]["uid"] = _stored_uid(kind, uid, group)
    if version == CRD:
        now = time_text(time.time_ns()) if fresh else None
        record["metadata"] = folded(kind, record["metadata"], now)
    if kind is IPAMBlock and not fresh:
        record["metadata"]["managedFields"] = _NO_FIELD_OWNERS
    return _encoded(record)


def _stored_uid(kind: type[Resource], uid: str | None, group: str) -> str | None:
    return mirrored(uid) if uid and written_version(kind, group) == CRD else uid


def _require_writable(what: str, kind: type[Resource]) -> None:
    if kind in _NEVER_WRITTEN:
        raise Invalid(f"{what}: a {kind.KIND} is Kubernetes' to change: use kubectl; nothing was written")


def _patched(what: str, before: R, patch: Mapping[str, Any]) -> R:
    after = type(before).read(merged(before.to_json(), dict(patch)))
    if key_of(after) != key_of(before):
        raise Invalid(f"{what}: name and namespace can't be changed")
    return after


def _concerns_what_is_folded(patch: Mapping[str, Any]) -> bool:
    return not patch.get("metadata", {}).keys().isdisjoint(("labels", "annotations"))


def _encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
