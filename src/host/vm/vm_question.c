// SPDX-License-Identifier: Apache-2.0
/*
 * The question that a stopped guest asks: runtime.question, and AnswerVM.
 *
 * A disk that fails, or finds its datastore full, stops the guest before it learns of the error, with the write
 * still to be done:
 *
 *   runs --a disk fails--> stopped, with a question --Retry--> the write is done again --> runs, or asks again
 *                                                   --Cancel--> powered off
 *
 * The question lives in the inventory alone. An agent that starts anew and finds a machine stopped asks again.
 */
#include <errno.h>
#include <string.h>

#include "host/vm/vm.h"
#include "vim/event.h"
#include "vim/value.h"

#define CHOICE_RETRY "0"
#define CHOICE_CANCEL "1"

static struct ElementDescription *choice(const char *key, const char *label, const char *summary)
{
    struct ElementDescription *description = ElementDescription_new();
    description->key = g_strdup(key);
    description->label = g_strdup(label);
    description->summary = g_strdup(summary);
    return description;
}

/* The disk's file for people, "" when there is none by that key. (read lock) */
static const char *file_of(const struct VirtualMachineConfigInfo *config, int32_t key)
{
    const struct VirtualDevice *device = vm_device_by_key(config, key);
    return device != NULL && vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)
               ? ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName
               : "";
}

static struct VirtualMachineQuestionInfo *new_question(const struct vm_trouble *trouble, const char *file,
                                                       int64_t number)
{
    struct VirtualMachineQuestionInfo *question = VirtualMachineQuestionInfo_new();
    struct VirtualMachineMessage *message = VirtualMachineMessage_new();
    question->id = g_strdup_printf("%" G_GINT64_FORMAT, number);
    switch (trouble->kind) {
    case VM_TROUBLE_NO_SPACE:
        message->id = g_strdup("msg.hbacommon.outofspace");
        message->text =
            g_strdup_printf("The datastore has no space left for %s. The guest is stopped. Make space "
                            "and choose Retry to let it go on, or Cancel to power it off.",
                            file);
        break;
    case VM_TROUBLE_IO_ERROR:
        message->id = g_strdup("msg.tenkyu.diskError");
        message->text =
            g_strdup_printf("%s cannot be read or written. The guest is stopped. Mend the storage and "
                            "choose Retry to let it go on, or Cancel to power it off.",
                            file);
        break;
    case VM_TROUBLE_FOUND_STOPPED:
        message->id = g_strdup("msg.tenkyu.stopped");
        message->text =
            g_strdup("The guest was found stopped, after an error or an interrupted operation. Choose "
                     "Retry to let it go on, or Cancel to power it off.");
        break;
    }
    question->text = g_strdup(message->text);
    question->choice = ChoiceOption_new();
    vim_array_add_object(&question->choice->choiceInfo, choice(CHOICE_RETRY, "button.retry", "Retry"));
    vim_array_add_object(&question->choice->choiceInfo, choice(CHOICE_CANCEL, "button.cancel", "Cancel"));
    vim_set_optional(&question->choice->defaultIndex, 0);
    vim_array_add_object(&question->message, message);
    return question;
}

/* Moves the question in; NULL for none. (write lock) */
static void set_question(struct vim_object *object, struct VirtualMachineQuestionInfo *question)
{
    struct VirtualMachineRuntimeInfo *runtime = vim_copy(VIM_PROPERTIES(object, VirtualMachine)->runtime);
    vim_free(runtime->question);
    runtime->question = question;
    vim_set_data(object, "summary.runtime", vim_copy(runtime));
    vim_set_data(object, "runtime", runtime);
}

void vm_question_ask(struct vm *vm, const struct vm_trouble *trouble)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    struct vim_ref ref = vm_reference(vm);
    g_autofree char *text = NULL;
    vim_write_lock(inventory);
    struct vim_object *object = vim_inventory_find_ref(inventory, &ref);
    const struct VirtualMachine *machine = object != NULL ? object->properties : NULL;
    /* One at a time: the answer goes for all disks. */
    if (machine != NULL && machine->runtime->question == NULL &&
        machine->runtime->powerState == VirtualMachinePowerState_poweredOn) {
        struct VirtualMachineQuestionInfo *question = new_question(
            trouble, file_of(machine->config, trouble->device_key), vim_now_us(vm->host->server));
        text = g_strdup(question->text);
        set_question(object, question);
    }
    vim_write_unlock(inventory);
    if (text != NULL) {
        struct VmMessageEvent *event = VmMessageEvent_new();
        event->message = g_strdup(text);
        vim_event_post_for(vm->host->server, (struct Event *)event, &ref, NULL, "%s: %s", vm->vmx_path, text);
    }
}

void vm_question_withdraw(struct vm *vm)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    vim_write_lock(inventory);
    struct vim_object *object = vim_inventory_find(inventory, vm->id);
    if (object != NULL && VIM_PROPERTIES(object, VirtualMachine)->runtime->question != NULL) {
        set_question(object, NULL);
    }
    vim_write_unlock(inventory);
}

/* Takes the question away from others who would answer it: *ret is it, or a fault. */
static struct vim_fault *take_question(struct vm *vm, const struct AnswerVM_args *args,
                                       struct VirtualMachineQuestionInfo **ret)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    struct vim_fault *fault = NULL;
    vim_write_lock(inventory);
    struct vim_object *object = vim_inventory_find(inventory, vm->id);
    const struct VirtualMachineQuestionInfo *question =
        object != NULL ? VIM_PROPERTIES(object, VirtualMachine)->runtime->question : NULL;
    if (question == NULL || !g_str_equal(question->id, args->questionId)) {
        fault = fault_concurrent_access("questionId: the machine has no question \"%s\" (any more)",
                                        args->questionId);
    } else if (!g_str_equal(args->answerChoice, CHOICE_RETRY) &&
               !g_str_equal(args->answerChoice, CHOICE_CANCEL)) {
        fault = fault_invalid_argument(
            "answerChoice", "answerChoice: \"%s\" is not the key of one of the choices", args->answerChoice);
    } else {
        *ret = vim_copy(question);
        set_question(object, NULL);
    }
    vim_write_unlock(inventory);
    return fault;
}

static void put_question_back(struct vm *vm, struct VirtualMachineQuestionInfo *question)
{
    struct vim_inventory *inventory = vm->host->server->inventory;
    vim_write_lock(inventory);
    struct vim_object *object = vim_inventory_find(inventory, vm->id);
    const struct VirtualMachine *machine = object != NULL ? object->properties : NULL;
    if (machine != NULL && machine->runtime->question == NULL &&
        machine->runtime->powerState == VirtualMachinePowerState_poweredOn) {
        set_question(object, question);
        question = NULL;
    }
    vim_write_unlock(inventory);
    vim_free(question);
}

/* With the machine's job. */
static struct vim_fault *answer(struct vm *vm, const struct AnswerVM_args *args)
{
    struct VirtualMachineQuestionInfo *question = NULL;
    g_autofree char *message = NULL;
    struct vim_fault *fault = take_question(vm, args, &question);
    if (fault != NULL) {
        return fault;
    }
    bool retry = g_str_equal(args->answerChoice, CHOICE_RETRY);
    int error = retry ? hypervisor_vm_unpause(vm->host->hypervisor, vm->id, &message)
                      : hypervisor_vm_stop(vm->host->hypervisor, vm->id, &message);
    if (error != 0 && (retry || error != -ENOENT)) {
        put_question_back(vm, question);
        return fault_system_error(g_strerror(-error), "%s", message != NULL ? message : g_strerror(-error));
    }
    vim_free(question);
    if (!retry) {
        vm_set_power_state(vm, VirtualMachinePowerState_poweredOff);
        vm_event(vm, (struct vim_task *)NULL, VmPoweredOffEvent,
                 "%s is powered off, as its question was answered", vm->vmx_path);
    }
    return NULL;
}

struct vim_fault *vm_answer_call(struct vim_call *call, const struct AnswerVM_args *args)
{
    VM_AUTO vm = NULL;
    struct vim_fault *fault = vm_of_call(call, &vm);
    if (fault != NULL) {
        return fault;
    }
    if (!g_mutex_trylock(&vm->job)) {
        return fault_task_in_progress((struct vim_ref){0}, "another operation on %s is under way", vm->id);
    }
    fault = answer(vm, args);
    vm_end(vm);
    return fault;
}
