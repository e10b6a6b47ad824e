# SPDX-License-Identifier: Apache-2.0
# What a user of rbvmomi does with a host: connect, create, change, power, wait, collect, destroy. Prints a line of
# JSON for each step; test_rbvmomi.py reads them, and looks with a second client at what has become of it.
#
#   ruby rbvmomi.rb HOST PORT ssl|plain USER   (the password comes on standard input)

require 'json'
require 'rbvmomi'

host, port, security, user = ARGV
password = $stdin.readline.chomp

def say(step, facts = {})
  puts JSON.generate({ 'step' => step }.merge(facts))
  $stdout.flush
  $stdin.readline # the other side has looked
end

def power_state(vm)
  vm.runtime.powerState
end

vim = RbVmomi::VIM.connect host: host, port: port.to_i, ssl: security == 'ssl', insecure: true,
                           user: user, password: password
say 'connect', 'rev' => vim.rev, 'api' => vim.serviceContent.about.apiVersion,
               'session' => vim.serviceContent.sessionManager.currentSession.key

begin
  RbVmomi::VIM.connect host: host, port: port.to_i, ssl: security == 'ssl', insecure: true, user: user, password: 'no'
rescue RbVmomi::Fault => e
  say 'refused', 'fault' => e.fault.class.wsdl_name
end

datacenter = vim.serviceInstance.find_datacenter
pool = datacenter.hostFolder.children.first.resourcePool
config = {
  name: 'ruby',
  guestId: 'otherGuest64',
  files: { vmPathName: '[datastore1]' },
  numCPUs: 1,
  memoryMB: 64,
  deviceChange: [
    { operation: :add,
      device: RbVmomi::VIM.VirtualLsiLogicController(key: 1000, busNumber: 0, sharedBus: :noSharing) },
    { operation: :add, fileOperation: :create,
      device: RbVmomi::VIM.VirtualDisk(
        key: 0, capacityInKB: 8192, controllerKey: 1000, unitNumber: 0,
        backing: RbVmomi::VIM.VirtualDiskFlatVer2BackingInfo(fileName: '[datastore1]', diskMode: :persistent,
                                                             thinProvisioned: true)
      ) },
    { operation: :add,
      device: RbVmomi::VIM.VirtualVmxnet3(
        key: 0, addressType: 'generated',
        backing: RbVmomi::VIM.VirtualEthernetCardNetworkBackingInfo(deviceName: 'VM Network')
      ) }
  ],
  extraConfig: [{ key: 'ruby.was.here', value: 'yes' }]
}
vm = datacenter.vmFolder.CreateVM_Task(config: config, pool: pool).wait_for_completion
say 'create', 'id' => vm._ref, 'macs' => vm.macs.length, 'disks' => vm.disks.map { |d| d.backing.fileName }

raise 'not found by name' unless datacenter.find_vm('ruby') == vm

vm.PowerOnVM_Task.wait_for_completion
say 'on', 'state' => power_state(vm)

begin
  vm.PowerOnVM_Task.wait_for_completion
rescue RbVmomi::Fault => e
  say 'on twice', 'fault' => e.fault.class.wsdl_name
end

collected = vim.propertyCollector.collectMultiple([vm], 'name', 'runtime.powerState', 'config.hardware.memoryMB')
say 'collect', 'properties' => collected[vm]

vm.PowerOffVM_Task.wait_for_completion
vm.ReconfigVM_Task(spec: { memoryMB: 128, annotation: 'by ruby' }).wait_for_completion
say 'reconfigure', 'memory' => vm.config.hardware.memoryMB

view = vim.serviceContent.viewManager.CreateContainerView(container: vim.rootFolder, type: ['VirtualMachine'],
                                                          recursive: true)
say 'view', 'names' => view.view.map(&:name)
view.DestroyView

first = vm.CreateSnapshot_Task(name: 'x', description: 'by ruby', memory: false, quiesce: false).wait_for_completion
vm.CreateSnapshot_Task(name: 'y', memory: false, quiesce: false).wait_for_completion
root = vm.snapshot.rootSnapshotList.first
say 'snapshot', 'title' => root.name, 'below' => root.childSnapshotList.map(&:name)
first.RevertToSnapshot_Task.wait_for_completion
say 'revert', 'current' => vm.snapshot.currentSnapshot == first
first.RemoveSnapshot_Task(removeChildren: true).wait_for_completion
say 'remove', 'left' => vm.snapshot.nil?

begin
  vm.UpgradeVM_Task.wait_for_completion
rescue RbVmomi::Fault => e
  say 'upgrade', 'fault' => e.fault.class.wsdl_name
end

vm.Destroy_Task.wait_for_completion
say 'destroy', 'left' => datacenter.vmFolder.children.map(&:name)

vim.serviceContent.sessionManager.Logout
say 'logout'
