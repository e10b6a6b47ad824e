// SPDX-License-Identifier: Apache-2.0
/*
 * The probe for usable KVM; see kvm_probe.h.
 *
 * The guest is about forty instructions in 64-bit mode with identity-mapped memory. What it does beyond
 * arithmetic, and why: a breakpoint and a page fault through the IDT with iretq (the instruction emulator,
 * which is all that a page-table based KVM has for an unmodified kernel, cannot deliver them), an SSE
 * instruction (same), the code selector and the flags (a kernel that is secretly run in user mode sees
 * ring 3 there), and a loop of some million rounds (emulated, it runs into the deadline).
 */
#include "hypervisor/qemu/kvm_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#endif

/* What the child saw; its exit status. */
enum probe_stage {
    PROBE_USABLE = 0,
    PROBE_ABSENT,  /* the device does not exist */
    PROBE_DENIED,  /* the device may not be opened */
    PROBE_NO_VM,   /* no virtual machine or processor could be made */
    PROBE_REFUSED, /* 64-bit state was refused */
    PROBE_STOPPED, /* the guest stopped with something other than a halt */
    PROBE_WRONG,   /* the guest halted, and what it saw is not what a kernel must see */
    PROBE_NO_ARCH, /* no probe for this processor architecture */
};

#ifdef __x86_64__

enum {
    GUEST_BYTES = 1 << 20,
    GUEST_RESULTS = 0x3000,
    GUEST_CODE = 0x4000,
    GUEST_GDT = 0x5000,
    GUEST_IDT = 0x6000,
    GUEST_TSS = 0x7000,
    GUEST_STACK = 0x9000,
    GUEST_PML4 = 0x10000,
    GUEST_PDPT = 0x11000,
    GUEST_PD = 0x12000,
    GUEST_SELECTOR_CODE = 8,
    GUEST_SELECTOR_DATA = 16,
    GUEST_SELECTOR_TSS = 24,
    GUEST_LOOPS = 4000000,
    CPUID_ENTRIES = 256,
};

/* What the guest stores at GUEST_RESULTS, in this order; the offsets stand in the code below. */
struct guest_results {
    uint64_t code_selector;  /* 0: cs as the guest reads it */
    uint64_t flags;          /* 8: rflags after cli */
    uint64_t efer;           /* 16: rdmsr of EFER */
    uint64_t breakpoints;    /* 24: breakpoints handled */
    uint64_t fault_address;  /* 32: cr2 in the page fault handler */
    uint64_t fault_selector; /* 40: cs that the page fault interrupted */
    uint64_t vector_sum;     /* 48: low half of the SSE result */
    uint64_t loops_left;     /* 56: 0 after the loop */
    uint64_t done;           /* 64: 1 just before the halt */
};

/* The fault address lies beyond the one mapped 2 MiB page and is canonical. */
#define GUEST_FAULT_ADDRESS 0x12345678000

asm(".pushsection .rodata\n"
    ".code64\n"
    "kvm_probe_guest:\n"
    "    mov $0x3000, %edi\n"
    "    xor %eax, %eax\n"
    "    mov %cs, %ax\n"
    "    mov %rax, 0(%rdi)\n"
    "    cli\n"
    "    pushfq\n"
    "    popq 8(%rdi)\n"
    "    mov $0xc0000080, %ecx\n"
    "    rdmsr\n"
    "    mov %eax, 16(%rdi)\n"
    "    int3\n"
    "    movabs $0x12345678000, %rbx\n"
    "    mov (%rbx), %rax\n" /* three bytes, skipped by the handler */
    "    mov $21, %eax\n"
    "    movq %rax, %xmm0\n"
    "    paddq %xmm0, %xmm0\n"
    "    movq %xmm0, 48(%rdi)\n"
    "    mov $4000000, %ecx\n"
    "1:  dec %rcx\n"
    "    jnz 1b\n"
    "    mov %rcx, 56(%rdi)\n"
    "    movq $1, 64(%rdi)\n"
    "2:  hlt\n"
    "    jmp 2b\n"
    "kvm_probe_guest_breakpoint:\n"
    "    incq 24(%rdi)\n"
    "    iretq\n"
    "kvm_probe_guest_fault:\n"
    "    mov %cr2, %rax\n"
    "    mov %rax, 32(%rdi)\n"
    "    mov 16(%rsp), %rax\n"
    "    mov %rax, 40(%rdi)\n"
    "    add $8, %rsp\n"
    "    addq $3, (%rsp)\n"
    "    iretq\n"
    "kvm_probe_guest_end:\n"
    ".popsection\n");

extern const uint8_t kvm_probe_guest[];
extern const uint8_t kvm_probe_guest_breakpoint[];
extern const uint8_t kvm_probe_guest_fault[];
extern const uint8_t kvm_probe_guest_end[];

static void put_u64(uint8_t *memory, size_t offset, uint64_t value)
{
    memcpy(memory + offset, &value, sizeof(value));
}

/* Writes an interrupt gate; address is below 4 GiB. */
static void put_gate(uint8_t *memory, unsigned int vector, const uint8_t *handler)
{
    uint64_t address = GUEST_CODE + (uint64_t)(handler - kvm_probe_guest);
    uint64_t low = (address & 0xffff) | ((uint64_t)GUEST_SELECTOR_CODE << 16) | (0x8e00ull << 32) |
                   ((address >> 16 & 0xffff) << 48);

    put_u64(memory, GUEST_IDT + 16 * vector, low);
    put_u64(memory, GUEST_IDT + 16 * vector + 8, 0);
}

static void fill_memory(uint8_t *memory)
{
    put_u64(memory, GUEST_PML4, GUEST_PDPT | 3);
    put_u64(memory, GUEST_PDPT, GUEST_PD | 3);
    put_u64(memory, GUEST_PD, 0x83); /* the first 2 MiB, one page */
    put_u64(memory, GUEST_GDT + GUEST_SELECTOR_CODE, 0x00af9b000000ffffull);
    put_u64(memory, GUEST_GDT + GUEST_SELECTOR_DATA, 0x00cf93000000ffffull);
    put_u64(memory, GUEST_GDT + GUEST_SELECTOR_TSS, 0x00008b0000000067ull | GUEST_TSS << 16);
    memcpy(memory + GUEST_CODE, kvm_probe_guest, (size_t)(kvm_probe_guest_end - kvm_probe_guest));
    put_gate(memory, 3, kvm_probe_guest_breakpoint);
    put_gate(memory, 14, kvm_probe_guest_fault);
}

/* Puts the processor into 64-bit mode, ring 0, at the guest's code. */
static bool set_registers(int vcpu)
{
    struct kvm_sregs sregs;

    if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0) {
        return false;
    }
    struct kvm_segment code = {
        .limit = 0xffffffff,
        .selector = GUEST_SELECTOR_CODE,
        .type = 11,
        .present = 1,
        .s = 1,
        .l = 1,
        .g = 1,
    };
    struct kvm_segment data = {
        .limit = 0xffffffff,
        .selector = GUEST_SELECTOR_DATA,
        .type = 3,
        .present = 1,
        .s = 1,
        .db = 1,
        .g = 1,
    };
    struct kvm_segment task = {
        .base = GUEST_TSS,
        .limit = 0x67,
        .selector = GUEST_SELECTOR_TSS,
        .type = 11,
        .present = 1,
    };
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr = task;
    sregs.gdt.base = GUEST_GDT;
    sregs.gdt.limit = 31;
    sregs.idt.base = GUEST_IDT;
    sregs.idt.limit = 0xfff;
    sregs.cr0 = 0x80050033; /* paging, write protect, numeric errors, protected mode */
    sregs.cr3 = GUEST_PML4;
    sregs.cr4 = 0x620;  /* PAE, SSE and its exceptions */
    sregs.efer = 0x500; /* long mode enabled and active */
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0) {
        return false;
    }

    struct kvm_regs regs = {.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2};
    return ioctl(vcpu, KVM_SET_REGS, &regs) == 0;
}

/* Long mode is refused to a processor whose CPUID does not have it, so the guest gets what KVM offers. */
static bool set_cpuid(int kvm, int vcpu)
{
    _Alignas(struct kvm_cpuid2)
        uint8_t buffer[sizeof(struct kvm_cpuid2) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)] = {0};
    struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)buffer;

    cpuid->nent = CPUID_ENTRIES;
    return ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0 && ioctl(vcpu, KVM_SET_CPUID2, cpuid) == 0;
}

static enum probe_stage judge(const uint8_t *memory)
{
    struct guest_results seen;

    memcpy(&seen, memory + GUEST_RESULTS, sizeof(seen));
    bool right = seen.code_selector == GUEST_SELECTOR_CODE && (seen.flags & 0x200) == 0 &&
                 (seen.efer & 0x500) == 0x500 && seen.breakpoints == 1 &&
                 seen.fault_address == GUEST_FAULT_ADDRESS && seen.fault_selector == GUEST_SELECTOR_CODE &&
                 seen.vector_sum == 42 && seen.loops_left == 0 && seen.done == 1;
    return right ? PROBE_USABLE : PROBE_WRONG;
}

/* The child. The kernel frees everything when it exits. */
static int probe_child(const void *data)
{
    int kvm = open(data, O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        return errno == EACCES || errno == EPERM ? PROBE_DENIED : PROBE_ABSENT;
    }
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
        return PROBE_NO_VM;
    }
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    uint8_t *memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm < 0 || memory == MAP_FAILED) {
        return PROBE_NO_VM;
    }
    struct kvm_userspace_memory_region region = {
        .memory_size = GUEST_BYTES,
        .userspace_addr = (uintptr_t)memory,
    };
    if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        return PROBE_NO_VM;
    }
    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000); /* some Intel processors need it; elsewhere it may fail */
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    int run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vcpu < 0 || run_bytes < (int)sizeof(struct kvm_run)) {
        return PROBE_NO_VM;
    }
    const struct kvm_run *run = mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED) {
        return PROBE_NO_VM;
    }
    if (!set_cpuid(kvm, vcpu) || !set_registers(vcpu)) {
        return PROBE_REFUSED;
    }
    fill_memory(memory);

    int error;
    do {
        error = ioctl(vcpu, KVM_RUN, 0) < 0 ? errno : 0;
    } while (error == EINTR || error == EAGAIN);
    if (error != 0 || run->exit_reason != KVM_EXIT_HLT) {
        return PROBE_STOPPED;
    }
    return judge(memory);
}

#else

static int probe_child(const void *data)
{
    (void)data;
    return PROBE_NO_ARCH;
}

#endif

/* Waits until the child is dead or timeout_ms have passed. */
static bool wait_dead(int pidfd, int timeout_ms)
{
    struct pollfd poller = {.fd = pidfd, .events = POLLIN};
    int64_t end_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;

    for (;;) {
        int64_t left_ms = (end_us - g_get_monotonic_time() + 999) / 1000;
        int n = poll(&poller, 1, (int)MAX(left_ms, 0));
        if (n != 0 && (n > 0 || errno != EINTR)) {
            return n > 0;
        }
        if (n == 0) {
            return false;
        }
    }
}

int kvm_probe_run(kvm_probe_fn fn, const void *data, int deadline_ms)
{
    pid_t pid = fork();
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        _exit(fn(data));
    }

    /* The child is ours and not reaped yet, so its number cannot have been given to another process. */
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int error = pidfd < 0 ? errno : 0;
    bool late = error == 0 && !wait_dead(pidfd, deadline_ms);
    if (late || error != 0) {
        kill(pid, SIGKILL);
    }
    /* A child stuck inside the kernel ignores even SIGKILL: then it is left behind rather than waited for. */
    bool dead = error != 0 || !late || wait_dead(pidfd, deadline_ms);
    int status = 0;
    pid_t reaped = dead ? TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) : 0;

    if (pidfd >= 0) {
        close(pidfd);
    }
    if (error != 0) {
        return -error;
    }
    if (late) {
        return -ETIMEDOUT;
    }
    if (reaped != pid || !WIFEXITED(status)) {
        return -EIO;
    }
    return WEXITSTATUS(status);
}

int kvm_probe(const char *device, int deadline_ms, char **ret_reason)
{
    static const struct {
        int error;
        const char *reason;
    } outcomes[] = {
        [PROBE_USABLE] = {0, NULL},
        [PROBE_ABSENT] = {-ENOENT, "there is no KVM device"},
        [PROBE_DENIED] = {-EACCES, "the KVM device may not be opened"},
        [PROBE_NO_VM] = {-ENOTSUP, "KVM makes no virtual machine"},
        [PROBE_REFUSED] = {-ENOTSUP, "KVM refuses a 64-bit guest"},
        [PROBE_STOPPED] = {-ENOTSUP, "KVM stops at instructions that every kernel needs"},
        [PROBE_WRONG] = {-ENOTSUP, "KVM runs a guest's kernel in a way that it can notice"},
        [PROBE_NO_ARCH] = {-ENOTSUP, "KVM is not probed on this processor architecture"},
    };
    int error = -EIO;
    const char *reason = "the KVM probe failed";

    int status = kvm_probe_run(probe_child, device, deadline_ms);
    if (status == -ETIMEDOUT) {
        error = status;
        reason = "KVM did not run a guest of a few instructions in time";
    } else if (status < 0) {
        error = status;
    } else if (status < (int)G_N_ELEMENTS(outcomes)) {
        error = outcomes[status].error;
        reason = outcomes[status].reason;
    }
    if (error != 0 && ret_reason != NULL) {
        *ret_reason = g_strdup(reason);
    }
    return error;
}
