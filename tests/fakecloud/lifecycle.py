"""What becomes of instances, interfaces and clusters with time, and what goes when one of them goes."""

from __future__ import annotations

from tests.fakecloud.cloud import WAIT_FOR_MACHINE_SECONDS, Cloud
from tests.fakecloud.model import Cluster, Eni, Instance, Resource
from tests.fakecloud.moments import add_period

EXPIRY = "the subscription has expired"
AUTO_RELEASE = "the automatic release time has come"


def tick(cloud: Cloud) -> None:
    """Everything that is due happens, in its order and as of its own time."""
    for resource, moment in cloud.due():
        _advance(cloud, resource, moment)
    cloud.commit()


def _advance(cloud: Cloud, resource: Resource, moment: float) -> None:
    if isinstance(resource, Instance):
        _advance_instance(cloud, resource, moment)
    elif isinstance(resource, Eni):
        _advance_interface(cloud, resource, moment)
    elif isinstance(resource, Cluster):
        _advance_cluster(cloud, resource, moment)


def _advance_instance(cloud: Cloud, instance: Instance, moment: float) -> None:
    if instance.auto_release is not None and instance.auto_release <= moment and not instance.is_deleting:
        release(cloud, instance, moment, AUTO_RELEASE)
    elif instance.expires is not None and instance.expires <= moment and not instance.is_deleting:
        _expire(cloud, instance, moment)
    if instance.due is None or instance.due > moment:
        return
    if instance.job:
        instance.due = moment + WAIT_FOR_MACHINE_SECONDS
        cloud.save(instance)
    elif instance.status == "Pending":
        instance.status = "Starting"
        instance.due = moment + cloud.world.timings.starting
        cloud.work(instance, "boot")
    elif instance.status == "Starting":
        instance.status, instance.due, instance.started = "Running", None, moment
        cloud.save(instance)
    elif instance.is_deleting:
        _gone(cloud, instance, moment)
    else:
        instance.status, instance.due = "Stopped", None
        cloud.save(instance)


def _expire(cloud: Cloud, instance: Instance, moment: float) -> None:
    expires = instance.expires
    if expires is None:
        return
    if instance.renewal == "AutoRenewal":
        instance.expires = add_period(expires, instance.renewal_period, instance.renewal_unit)
        cloud.save(instance)
    elif moment >= expires + cloud.world.timings.released_after_expiry:
        release(cloud, instance, moment, EXPIRY)
    elif "financial" not in instance.locks:
        instance.locks.append("financial")
        if instance.status != "Stopped":
            stop(cloud, instance, moment, force=True)
        cloud.save(instance)


def start(cloud: Cloud, instance: Instance, moment: float) -> None:
    instance.status, instance.due = "Starting", moment + cloud.world.timings.starting
    instance.stopped_mode = "Not-applicable"
    cloud.work(instance, "boot")


def reboot(cloud: Cloud, instance: Instance, moment: float, *, force: bool) -> None:
    instance.status, instance.due = "Starting", moment + cloud.world.timings.starting
    cloud.work(instance, "reboot", force=force)


def stop(cloud: Cloud, instance: Instance, moment: float, *, force: bool) -> None:
    instance.status, instance.due = "Stopping", moment + cloud.world.timings.stopping
    cloud.work(instance, "stop", force=force)


def release(cloud: Cloud, instance: Instance, moment: float, cause: str) -> None:
    """The instance goes: it is still seen for a moment."""
    instance.deleting = cause
    instance.status, instance.due = "Stopping", moment + cloud.world.timings.stopping
    cloud.work(instance, "delete")


def _gone(cloud: Cloud, instance: Instance, moment: float) -> None:
    cause = f"with {instance.id}: {instance.deleting}"
    for eni in cloud.enis_of(instance.id):
        if eni.role == "Primary" or eni.delete_with_instance:
            remove_interface(cloud, eni, moment, cause)
        else:
            eni.instance, eni.status, eni.due, eni.job = "", "Available", None, ""
            cloud.save(eni)
    for disk in cloud.disks_of(instance.id):
        if disk.delete_with_instance:
            cloud.remove(disk)
            cloud.end_billing("disk", disk.id, moment, cause)
        else:
            disk.instance = ""
            cloud.save(disk)
    cloud.remove(instance)
    cloud.end_billing("instance", instance.id, moment, instance.deleting)


def remove_interface(cloud: Cloud, eni: Eni, moment: float, cause: str) -> None:
    for address in eni.addresses:
        cloud.free_address(eni.vswitch, address)
        cloud.end_billing("address", address, moment, cause)
    cloud.remove(eni)
    cloud.end_billing("eni", eni.id, moment, cause)


def _advance_interface(cloud: Cloud, eni: Eni, moment: float) -> None:
    if eni.due is None or eni.due > moment:
        return
    if eni.job:
        eni.due = moment + WAIT_FOR_MACHINE_SECONDS
        cloud.save(eni)
    elif eni.status == "Deleting":
        remove_interface(cloud, eni, moment, eni.cause)
    else:
        if eni.status == "Detaching":
            eni.instance = ""
        eni.status, eni.due = ("InUse" if eni.status == "Attaching" else "Available"), None
        cloud.save(eni)


def _advance_cluster(cloud: Cloud, cluster: Cluster, moment: float) -> None:
    if cluster.due is None or cluster.due > moment:
        return
    cluster.due = None
    if cluster.state == "deleting":
        cloud.remove(cluster)
        return
    if cluster.state == "initial":
        cluster.state = "waiting"
    cloud.save(cluster)
