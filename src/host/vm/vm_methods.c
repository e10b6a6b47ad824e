// SPDX-License-Identifier: Apache-2.0
/*
 * The methods of VirtualMachine and where they are: what is not here answers NotSupported.
 */
#include "host/snapshot/snapshot.h"

const struct VirtualMachine_methods host_virtual_machine_methods = {
    .Destroy_Task = vm_destroy_call,
    .Rename_Task = vm_rename_call,
    .ReconfigVM_Task = vm_reconfigure_call,
    .PowerOnVM_Task = vm_power_on_call,
    .PowerOffVM_Task = vm_power_off_call,
    .ResetVM_Task = vm_reset_call,
    .SuspendVM_Task = vm_suspend_call,
    .ShutdownGuest = vm_shutdown_guest_call,
    .RebootGuest = vm_reboot_guest_call,
    .AnswerVM = vm_answer_call,
    .RefreshStorageInfo = vm_refresh_storage_call,
    .CreateSnapshot_Task = snapshot_create_call,
    .CreateSnapshotEx_Task = snapshot_create_ex_call,
    .RevertToCurrentSnapshot_Task = snapshot_revert_current_call,
    .RemoveAllSnapshots_Task = snapshot_remove_all_call,
    .ConsolidateVMDisks_Task = snapshot_consolidate_call,
    .UnregisterVM = vm_unregister_call,
    .AcquireTicket = vm_acquire_ticket_call,
    .CreateScreenshot_Task = vm_screenshot_call,
    .PutUsbScanCodes = vm_put_usb_scan_codes_call,
};
