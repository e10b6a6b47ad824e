// SPDX-License-Identifier: Apache-2.0
/*
 * The methods of VirtualMachine and where they are: what is not here answers NotSupported.
 */
#include "host/vm.h"

const struct VirtualMachine_methods host_virtual_machine_methods = {
    .Destroy_Task = vm_destroy_call,
    .Rename_Task = vm_rename_call,
    .ReconfigVM_Task = vm_reconfigure_call,
    .PowerOnVM_Task = vm_power_on_call,
    .PowerOffVM_Task = vm_power_off_call,
    .ResetVM_Task = vm_reset_call,
    .SuspendVM_Task = vm_suspend_call,
    .ShutdownGuest = vm_shutdown_guest_call,
    .UnregisterVM = vm_unregister_call,
    .AcquireTicket = vm_acquire_ticket_call,
    .CreateScreenshot_Task = vm_screenshot_call,
};
