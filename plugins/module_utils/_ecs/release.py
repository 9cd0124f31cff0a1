# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of instances: first their interfaces, then themselves; private to this collection.

What is to go is marked before anything else happens to it, so that a run that is killed leaves to the next one what
to finish. A subscription that still runs cannot be ended: its instance keeps the mark and goes when it is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import (
    PAGE,
    TAGGED_AT_ONCE,
    Cloud,
    all_of,
    chunks,
    tags,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.errors import CloudError
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs import observe
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import (
    ESTATE_TAG,
    RELEASED_TAG,
    Instance,
    Interface,
    written,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.model import PREPAID

_GONE_SECONDS = 180.0
_POLL_SECONDS = 1.0
_GONE = ("InvalidInstanceId.NotFound", "InvalidEniId.NotFound", "InvalidEcsId.NotFound", "InvalidResourceId.NotFound")
# It is on its way from one state to the next; what becomes of it is seen by looking.
_ON_ITS_WAY = (
    "InvalidOperation.InvalidEniState",
    "InvalidOperation.InvalidEcsState",
    "InvalidOperation.Conflict",
    "IncorrectEniStatus",
    "IncorrectInstanceStatus",
)


@dataclass
class Released:
    """What became of instances, by id: gone, paid for until when, or why it is still there."""

    gone: set[str] = field(default_factory=set)
    paid_until: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Releaser:
    """Ends instances of one estate."""

    def __init__(self, cloud: Cloud, estate: str) -> None:
        self._cloud = cloud
        self._estate = estate

    def release(self, instances: Sequence[Instance], now: datetime) -> Released:
        """Mark these, take their interfaces away, and delete them; what fails for one does not end the others."""
        done = Released()
        self._mark("instance", [one.id for one in instances if not one.is_released], written(now))
        for instance in instances:
            if instance.is_paid_until(now):
                done.paid_until[instance.id] = instance.expires
        self._stop_renewing(list(done.paid_until))
        ready = []
        for instance, problem in zip(instances, all_of(self._without_interfaces, instances)):
            if problem:
                done.failed[instance.id] = problem
            elif instance.id not in done.paid_until:
                ready.append(instance)
        self._delete_instances(ready, done)
        return done

    def delete_loose(self, interfaces: Sequence[Interface]) -> dict[str, str]:
        """Delete interfaces that hang on nothing; why one is still there, by id."""

        def delete(interface: Interface) -> str:
            return self._clear(lambda: self._of_ids([interface.id]), set(), "")

        return {one.id: why for one, why in zip(interfaces, all_of(delete, interfaces)) if why}

    def _mark(self, kind: str, ids: Sequence[str], mark: str) -> None:
        for some in chunks(ids, TAGGED_AT_ONCE):
            try:
                self._tag(kind, some, mark)
            except CloudError as error:
                if not error.code.startswith(_GONE):
                    raise
                for one in some:  # one of them went meanwhile: the others still are to be marked
                    _unless_gone(lambda one=one: self._tag(kind, [one], mark))  # type: ignore[misc]

    def _tag(self, kind: str, ids: Sequence[str], mark: str) -> None:
        wanted = {ESTATE_TAG: self._estate, RELEASED_TAG: mark}
        self._cloud.call("TagResources", ResourceType=kind, ResourceId=list(ids), Tag=tags(wanted))

    def _stop_renewing(self, ids: Sequence[str]) -> None:
        for some in chunks(ids, PAGE):
            self._cloud.call("ModifyInstanceAutoRenewAttribute", InstanceId=",".join(some), RenewalStatus="NotRenewal")

    def _without_interfaces(self, instance: Instance) -> str:
        """Detach and delete the interfaces beside the first; what is in the way, empty when none is left."""
        try:
            # A run that was killed may have taken them off already.
            marked = {one.id for one in self._interfaces(Tag=tags({RELEASED_TAG: instance.id}))}
            return self._clear(lambda: self._secondary(instance, marked), marked, instance.id)
        except CloudError as error:
            return str(error)

    def _clear(self, look: Callable[[], Sequence[Interface]], marked: set[str], holder: str) -> str:
        """Take away what ``look`` finds, step by step, until it finds nothing; what is in the way."""
        deadline = time.monotonic() + _GONE_SECONDS
        try:
            while left := look():
                if time.monotonic() > deadline:
                    states = ", ".join(f"{one.id} is {one.status}" for one in left)
                    return f"network interfaces are still there after {_GONE_SECONDS:g} s: {states}. Run again."
                if holder:
                    self._mark("eni", [one.id for one in left if one.id not in marked], holder)
                marked.update(one.id for one in left)
                for one in left:
                    self._take_away(one, holder)
                self._cloud.pause(_POLL_SECONDS)
        except CloudError as error:
            return str(error)
        return ""

    def _secondary(self, instance: Instance, marked: set[str]) -> list[Interface]:
        """Its interfaces beside the first: those that hang on it, and those that we took off it."""
        attached = {one.id: one for one in self._interfaces(InstanceId=instance.id, Type="Secondary")}
        return [*attached.values(), *self._of_ids(sorted(marked - set(attached)))]

    def _of_ids(self, ids: Sequence[str]) -> list[Interface]:
        return self._interfaces(NetworkInterfaceId=list(ids)) if ids else []

    def _interfaces(self, **filters: Any) -> list[Interface]:
        return list(observe.interfaces(self._cloud, **filters))

    def _take_away(self, interface: Interface, holder: str) -> None:
        """The next step toward its end, from the state it is in."""
        if interface.status == "Available":
            _unless_gone(lambda: self._cloud.call("DeleteNetworkInterface", NetworkInterfaceId=interface.id))
        elif interface.status == "InUse" and holder:
            _unless_gone(
                lambda: self._cloud.call("DetachNetworkInterface", NetworkInterfaceId=interface.id, InstanceId=holder)
            )

    def _delete_instances(self, instances: Sequence[Instance], done: Released) -> None:
        """Delete these and wait until they are gone; one that cannot be deleted in its state is asked for again."""
        there = {one.id: one for one in instances}
        to_ask = set(there)
        deadline = time.monotonic() + _GONE_SECONDS
        while there:
            # What was a subscription takes a word more to delete.
            for over in (False, True):
                ids = [one.id for one in there.values() if one.id in to_ask and (one.charge_type == PREPAID) is over]
                for some in chunks(ids, PAGE):
                    to_ask -= self._delete(some, over, done)
            left = [one for one in there if one not in done.failed]
            there = observe.instances_by_id(self._cloud, left)
            done.gone.update(one for one in left if one not in there)
            if there and time.monotonic() > deadline:
                done.failed.update(
                    (one, f"it is still {there[one].status} after {_GONE_SECONDS:g} s. Run again.") for one in there
                )
                return
            if there:
                self._cloud.pause(_POLL_SECONDS)

    def _delete(self, ids: Sequence[str], is_over: bool, done: Released) -> set[str]:
        """Ask for the end of these; those that need not be asked for again. Refusals concern one: it is found."""
        try:
            self._cloud.call("DeleteInstances", InstanceId=list(ids), Force=True, TerminateSubscription=is_over or None)
        except CloudError as error:
            if len(ids) > 1 and error.is_refusal and not error.is_passing:
                return {one for each in ids for one in self._delete([each], is_over, done)}
            if error.code.startswith(_ON_ITS_WAY):
                return set()
            if not error.code.startswith(_GONE):
                done.failed.update(dict.fromkeys(ids, str(error)))
        return set(ids)


def _unless_gone(work: Callable[[], object]) -> None:
    try:
        work()
    except CloudError as error:
        if not error.code.startswith((*_GONE, *_ON_ITS_WAY)):
            raise
