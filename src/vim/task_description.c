// SPDX-License-Identifier: Apache-2.0
/*
 * The texts for types of tasks, states and reasons. See task_description.h.
 *
 * A task's type is known by its descriptionId. The VI API forms it from names that are not in the schema,
 * so they are listed here.
 */
#include "vim/task_description.h"

#include <string.h>

#include "vim/method.h"

static const struct {
    const char *method;
    const char *description_id;
} operations[] = {
    {"AttachDisk_Task", "VirtualMachine.attachDisk"},
    {"CopyDatastoreFile_Task", "FileManager.copyFile"},
    {"CopyVirtualDisk_Task", "VirtualDiskManager.copyVirtualDisk"},
    {"CreateChildVM_Task", "ResourcePool.createVm"},
    {"CreateScreenshot_Task", "VirtualMachine.createScreenshot"},
    {"CreateSnapshotEx_Task", "VirtualMachine.createSnapshotEx"},
    {"CreateSnapshot_Task", "VirtualMachine.createSnapshot"},
    {"CreateVM_Task", "Folder.createVm"},
    {"CreateVirtualDisk_Task", "VirtualDiskManager.createVirtualDisk"},
    {"DatastoreExitMaintenanceMode_Task", "Datastore.exitMaintenanceMode"},
    {"DeleteDatastoreFile_Task", "FileManager.deleteFile"},
    {"DeleteVirtualDisk_Task", "VirtualDiskManager.deleteVirtualDisk"},
    {"Destroy_Task", "ManagedEntity.destroy"},
    {"DetachDisk_Task", "VirtualMachine.detachDisk"},
    {"EnterMaintenanceMode_Task", "HostSystem.enterMaintenanceMode"},
    {"ExitMaintenanceMode_Task", "HostSystem.exitMaintenanceMode"},
    {"ExtendVirtualDisk_Task", "VirtualDiskManager.extendVirtualDisk"},
    {"InflateVirtualDisk_Task", "VirtualDiskManager.inflateVirtualDisk"},
    {"MarkAsLocal_Task", "HostStorageSystem.markAsLocal"},
    {"MarkAsNonLocal_Task", "HostStorageSystem.markAsNonLocal"},
    {"MarkAsNonSsd_Task", "HostStorageSystem.markAsNonSsd"},
    {"MarkAsSsd_Task", "HostStorageSystem.markAsSsd"},
    {"MoveDatastoreFile_Task", "FileManager.moveFile"},
    {"MoveIntoFolder_Task", "Folder.moveInto"},
    {"MoveVirtualDisk_Task", "VirtualDiskManager.moveVirtualDisk"},
    {"PowerDownHostToStandBy_Task", "HostSystem.enterStandbyMode"},
    {"PowerOffVM_Task", "VirtualMachine.powerOff"},
    {"PowerOnVM_Task", "VirtualMachine.powerOn"},
    {"PowerUpHostFromStandBy_Task", "HostSystem.exitStandbyMode"},
    {"RebootHost_Task", "HostSystem.reboot"},
    {"ReconfigVM_Task", "VirtualMachine.reconfigure"},
    {"ReconfigureComputeResource_Task", "ComputeResource.reconfigureEx"},
    {"ReconfigureHostForDAS_Task", "HostSystem.reconfigureDAS"},
    {"RegisterVM_Task", "Folder.registerVm"},
    {"RemoveAllSnapshots_Task", "VirtualMachine.removeAllSnapshots"},
    {"RemoveSnapshot_Task", "VirtualMachineSnapshot.remove"},
    {"Rename_Task", "ManagedEntity.rename"},
    {"ResetVM_Task", "VirtualMachine.reset"},
    {"RevertToCurrentSnapshot_Task", "VirtualMachine.revertToCurrentSnapshot"},
    {"RevertToSnapshot_Task", "VirtualMachineSnapshot.revert"},
    {"SearchDatastoreSubFolders_Task", "HostDatastoreBrowser.searchSubFolders"},
    {"SearchDatastore_Task", "HostDatastoreBrowser.search"},
    {"ShrinkVirtualDisk_Task", "VirtualDiskManager.shrinkVirtualDisk"},
    {"ShutdownHost_Task", "HostSystem.shutdown"},
    {"SuspendVM_Task", "VirtualMachine.suspend"},
    {"UnregisterAndDestroy_Task", "Folder.unregisterAndDestroy"},
    {"UpgradeTools_Task", "VirtualMachine.upgradeTools"},
    {"UpgradeVM_Task", "VirtualMachine.upgradeVirtualHardware"},
    {"ZeroFillVirtualDisk_Task", "VirtualDiskManager.zeroFillVirtualDisk"},
};

/* A sentence of the schema as a label. */
static char *label(const char *sentence)
{
    size_t length = strlen(sentence);
    return g_strndup(sentence, g_str_has_suffix(sentence, ".") ? length - 1 : length);
}

static struct ElementDescription *element(const char *key, const char *sentence)
{
    struct ElementDescription *element = ElementDescription_new();
    element->key = g_strdup(key);
    element->label = label(sentence);
    element->summary = g_strdup(sentence);
    return element;
}

struct TaskDescription *vim_task_description(void)
{
    static const char *const states[][2] = {
        {"queued", "Queued"}, {"running", "Running"}, {"success", "Completed"}, {"error", "Failed"}};
    static const struct vim_type *const reasons[] = {&TaskReasonAlarm_type, &TaskReasonSchedule_type,
                                                     &TaskReasonSystem_type, &TaskReasonUser_type};
    struct TaskDescription *description = TaskDescription_new();
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        const struct vim_method *method = vim_method_by_name(operations[i].method);
        if (method != NULL) {
            vim_array_add_object(&description->methodInfo,
                                 element(operations[i].description_id, method->doc));
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        vim_array_add_object(&description->state, element(states[i][0], states[i][1]));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
        struct TypeDescription *reason = TypeDescription_new();
        reason->key = g_strdup(reasons[i]->name);
        reason->label = label(reasons[i]->doc);
        reason->summary = g_strdup(reasons[i]->doc);
        vim_array_add_object(&description->reason, reason);
    }
    return description;
}
