# SPDX-License-Identifier: Apache-2.0
"""What the tests that use pyVmomi share: connecting to a TenkyuHost, virtual machines, filters.

    with TenkyuHost("sim") as host:
        si = vi.connect(host)
        vm = vi.create_vm(si, "web")
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from pyVim.task import WaitForTask
from pyVmomi import SoapStubAdapter, vim, vmodl
from pyVmomi.VmomiSupport import versionIdMap
from tenkyu_host import TenkyuHost

PC = vmodl.query.PropertyCollector
NEWEST = "vim.version.version12"  # 6.7


def soap_stub(host: TenkyuHost, version: str = NEWEST) -> SoapStubAdapter:
    """A connection of its own: no session yet."""
    address, port = host.address
    if urlsplit(host.url).scheme == "https":
        return SoapStubAdapter(address, port, version=version, sslContext=unverified())
    return SoapStubAdapter(address, -port, version=version)


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(host: TenkyuHost, version: str = NEWEST, user: str | None = None,
            password: str | None = None) -> Any:
    """A ServiceInstance with a session."""
    instance = vim.ServiceInstance("ServiceInstance", soap_stub(host, version))
    # Not .content: pyVmomi reads that by a method that versions before 4.1 do not have.
    instance.RetrieveContent().sessionManager.Login(user or host.user, password or host.password, None)
    return instance


def version_names() -> dict[str, str]:
    """pyVmomi's versions by what we call them: "5.5" -> "vim.version.version9"."""
    return {number.rpartition("/")[2]: name for name, number in versionIdMap.items() if name.startswith("vim.version.")}


def same_session(instance: Any) -> Any:
    """A second stub with the session of the first: connections that do not wait for each other."""
    old = instance._stub
    new = SoapStubAdapter(url=f"http://{old.host}", version=old.version)
    new.cookie = old.cookie
    return vim.ServiceInstance("ServiceInstance", new)


def datacenter(instance: Any) -> Any:
    return instance.content.rootFolder.childEntity[0]


def pool(instance: Any) -> Any:
    return datacenter(instance).hostFolder.childEntity[0].resourcePool


def vm_spec(name: str, disk_mb: int = 0, **more: Any) -> Any:
    """A small machine, with a controller and a thin disk when disk_mb is not 0."""
    spec = vim.vm.ConfigSpec(name=name, numCPUs=1, memoryMB=64, guestId="otherGuest64",
                             files=vim.vm.FileInfo(vmPathName="[datastore1]"), **more)
    if disk_mb:
        controller = vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", thinProvisioned=True)
        disk = vim.vm.device.VirtualDisk(key=-2, controllerKey=-1, unitNumber=0, backing=backing,
                                         capacityInKB=disk_mb << 10)
        spec.deviceChange = [added(controller), added(disk, "create")]
    return spec


def added(device: Any, file_operation: str | None = None) -> Any:
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=device, fileOperation=file_operation)


def network_card(key: int = -3) -> Any:
    backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    connectable = vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, allowGuestControl=True, connected=False)
    return vim.vm.device.VirtualVmxnet3(key=key, backing=backing, connectable=connectable)


def create_vm(instance: Any, name: str, **more: Any) -> Any:
    task = datacenter(instance).vmFolder.CreateVM_Task(config=vm_spec(name, **more), pool=pool(instance))
    WaitForTask(task)
    return task.info.result


def wait_property(instance: Any, obj: Any, path: str, value: Any, timeout_s: int = 30) -> None:
    """Waits until a property has the value, by a collector of its own."""
    collector = instance.content.propertyCollector.CreatePropertyCollector()
    try:
        collector.CreateFilter(filter_spec([obj], type(obj), [path]), False)
        version, now = "", None
        while now != value:
            answer = collector.WaitForUpdatesEx(version, PC.WaitOptions(maxWaitSeconds=timeout_s))
            if answer is None:
                raise TimeoutError(f"{path} is {now!r} after {timeout_s} s, not {value!r}")
            version, now = answer.version, updates(answer)[obj._moId][-1][2]
    finally:
        collector.Destroy()


def filter_spec(objects: Iterable[Any], kind: Any, paths: list[str] | None, select: list[Any] | None = None,
                skip: bool = False) -> Any:
    """paths None: all properties."""
    return PC.FilterSpec(
        objectSet=[PC.ObjectSpec(obj=o, skip=skip, selectSet=select or []) for o in objects],
        propSet=[PC.PropertySpec(type=kind, pathSet=paths or [], all=paths is None)])


def updates(update_set: Any) -> dict[str, list[tuple[str, str, Any]]]:
    """By object: what changed, as (operation, path, value); ("enter", "", None) and "leave" for the object."""
    found: dict[str, list[tuple[str, str, Any]]] = {}
    for filter_update in update_set.filterSet if update_set is not None else []:
        for update in filter_update.objectSet:
            changes = found.setdefault(update.obj._moId, [])
            if update.kind != "modify":
                changes.append((update.kind, "", None))
            changes += [(c.op, c.name, c.val) for c in update.changeSet]
    return found


def traversal(kind: Any, path: str, *select: Any, name: str | None = None, skip: bool = False) -> Any:
    return PC.TraversalSpec(name=name, type=kind, path=path, skip=skip, selectSet=list(select))


def everything() -> list[Any]:
    """The recursive selection that the samples of the SDK use, from the root folder to all entities."""
    def by_name(*names: str) -> list[Any]:
        return [PC.SelectionSpec(name=name) for name in names]

    return [
        traversal(vim.Folder, "childEntity", name="visitFolders", *by_name(
            "visitFolders", "dcToHf", "dcToVmf", "dcToDs", "dcToNetf", "crToH", "crToRp", "HToVm", "rpToVm")),
        traversal(vim.Datacenter, "vmFolder", *by_name("visitFolders"), name="dcToVmf"),
        traversal(vim.Datacenter, "hostFolder", *by_name("visitFolders"), name="dcToHf"),
        traversal(vim.Datacenter, "datastoreFolder", *by_name("visitFolders"), name="dcToDs"),
        traversal(vim.Datacenter, "networkFolder", *by_name("visitFolders"), name="dcToNetf"),
        traversal(vim.ComputeResource, "host", name="crToH"),
        traversal(vim.ComputeResource, "resourcePool", *by_name("rpToRp", "rpToVm"), name="crToRp"),
        traversal(vim.ResourcePool, "resourcePool", *by_name("rpToRp", "rpToVm"), name="rpToRp"),
        traversal(vim.ResourcePool, "vm", name="rpToVm"),
        traversal(vim.HostSystem, "vm", *by_name("visitFolders"), name="HToVm"),
    ]
