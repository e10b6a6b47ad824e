// SPDX-License-Identifier: Apache-2.0
//
// A client on top of govmomi, the library under govc, Terraform and many others. Takes the URL with user and password,
// and the name of a machine; prints what it sees, one "key value" a line. test_govmomi.py starts it.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/performance"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func say(key string, value interface{}) {
	fmt.Println(key, value)
}

// inventory sees the machines through a view, as `govc find` does.
func inventory(ctx context.Context, c *govmomi.Client) {
	v, err := view.NewManager(c.Client).CreateContainerView(ctx, c.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
	must(err)
	defer v.Destroy(ctx)
	var vms []mo.VirtualMachine
	must(v.RetrieveWithFilter(ctx, []string{"VirtualMachine"}, []string{"name", "summary"}, &vms, property.Filter{"name": "*"}))
	say("machines", len(vms))
	for _, vm := range vms {
		say("machine", fmt.Sprint(vm.Name, " ", vm.Summary.Config.MemorySizeMB))
	}
}

// change gives the machine a disk and a NIC, as `govc vm.disk.create` and `vm.network.add` do.
func change(ctx context.Context, f *find.Finder, vm *object.VirtualMachine, ds *object.Datastore) {
	devices, err := vm.Device(ctx)
	must(err)
	controller, err := devices.FindDiskController("")
	must(err)
	disk := devices.CreateDisk(controller, ds.Reference(), ds.Path(vm.Name()+"/more.vmdk"))
	disk.CapacityInKB = 32 * 1024
	must(vm.AddDevice(ctx, disk))
	network, err := f.Network(ctx, "VM Network")
	must(err)
	backing, err := network.EthernetCardBackingInfo(ctx)
	must(err)
	card, err := devices.CreateEthernetCard("vmxnet3", backing)
	must(err)
	must(vm.AddDevice(ctx, card))
	devices, err = vm.Device(ctx)
	must(err)
	say("disks", len(devices.SelectByType((*types.VirtualDisk)(nil))))
	say("cards", len(devices.SelectByType((*types.VirtualEthernetCard)(nil))))
}

func wait(ctx context.Context, task *object.Task, err error) {
	must(err)
	must(task.Wait(ctx))
}

func life(ctx context.Context, vm *object.VirtualMachine) {
	state := func() {
		s, err := vm.PowerState(ctx)
		must(err)
		say("state", s)
	}
	task, err := vm.PowerOn(ctx)
	wait(ctx, task, err)
	state()
	task, err = vm.CreateSnapshot(ctx, "first", "of govmomi", true, false)
	wait(ctx, task, err)
	ref, err := vm.FindSnapshot(ctx, "first")
	must(err)
	say("snapshot", ref.Type)
	task, err = vm.RevertToSnapshot(ctx, "first", false)
	wait(ctx, task, err)
	state()
	task, err = vm.RemoveAllSnapshot(ctx, nil)
	wait(ctx, task, err)
	task, err = vm.PowerOff(ctx)
	wait(ctx, task, err)
	state()
	if task, err = vm.PowerOff(ctx); err == nil {
		err = task.Wait(ctx)
	}
	say("fault", err)
}

func files(ctx context.Context, c *govmomi.Client, dc *object.Datacenter, ds *object.Datastore) {
	must(ds.Upload(ctx, bytes.NewReader([]byte("sent by govmomi\n")), "govmomi/file", &soap.DefaultUpload))
	stat, err := ds.Stat(ctx, "govmomi/file")
	must(err)
	say("size", stat.GetFileInfo().FileSize)
	r, _, err := ds.Download(ctx, "govmomi/file", nil)
	must(err)
	r.Close()
	must(ds.NewFileManager(dc, false).DeleteFile(ctx, "govmomi/file"))
	_, err = ds.Stat(ctx, "govmomi/file")
	say("gone", err != nil)
}

func counters(ctx context.Context, c *govmomi.Client, host *object.HostSystem) {
	m := performance.NewManager(c.Client)
	m.Sort = true
	known, err := m.CounterInfoByName(ctx)
	must(err)
	_, found := known["cpu.usage.average"]
	say("counter", found)
	_, err = m.SampleByName(ctx, types.PerfQuerySpec{IntervalId: 20, MaxSample: 1}, []string{"cpu.usage.average"},
		[]types.ManagedObjectReference{host.Reference()})
	must(err)
}

func events(ctx context.Context, c *govmomi.Client, vm *object.VirtualMachine) {
	found, err := event.NewManager(c.Client).QueryEvents(ctx, types.EventFilterSpec{
		Entity: &types.EventFilterSpecByEntity{Entity: vm.Reference(), Recursion: types.EventFilterSpecRecursionOptionSelf},
	})
	must(err)
	for _, e := range found {
		if _, on := e.(*types.VmPoweredOnEvent); on {
			say("event", "VmPoweredOnEvent")
			return
		}
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	u, err := soap.ParseURL(os.Args[1])
	must(err)
	c, err := govmomi.NewClient(ctx, u, true)
	must(err)
	say("about", c.ServiceContent.About.ApiType)
	f := find.NewFinder(c.Client, true)
	dc, err := f.DefaultDatacenter(ctx)
	must(err)
	f.SetDatacenter(dc)
	ds, err := f.DefaultDatastore(ctx)
	must(err)
	host, err := f.DefaultHostSystem(ctx)
	must(err)
	pool, err := f.DefaultResourcePool(ctx)
	must(err)
	say("pool", pool.InventoryPath)
	vm, err := f.VirtualMachine(ctx, os.Args[2])
	must(err)
	say("path", vm.InventoryPath)
	inventory(ctx, c)
	change(ctx, f, vm, ds)
	life(ctx, vm)
	files(ctx, c, dc, ds)
	counters(ctx, c, host)
	events(ctx, c, vm)
	must(c.Logout(ctx))
	_, err = f.VirtualMachine(ctx, (&url.URL{Path: os.Args[2]}).Path)
	say("logged out", err != nil)
}
