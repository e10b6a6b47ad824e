// SPDX-License-Identifier: Apache-2.0
/*
 * The record of a running QEMU, process.json in its run folder: how the next run of the server finds it.
 *
 * Written before the process becomes QEMU, and again when its phase changes. Not a configuration: it is
 * worth nothing after a reboot, and holds nothing that QEMU itself can be asked.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* What was going on, so that whoever finds the record knows how to end it. */
enum record_phase {
    RECORD_STARTING = 1, /* the guest has not run: to be killed */
    RECORD_RUNNING,      /* to be adopted */
    RECORD_SUSPENDING,   /* the state is half saved: to be adopted, and told to run on */
    RECORD_HELD,         /* held still by a commit: to be adopted; goes on when the host says so */
};

struct record {
    enum record_phase phase;
    pid_t pid;
    uint64_t start_ticks;
    pid_t tpm_pid; /* of the TPM's process, 0 when there is none */
    uint64_t tpm_start_ticks;
    int32_t slot;          /* of the user id; -1 when QEMU runs as the server's own user */
    int64_t started_ms;    /* CLOCK_BOOTTIME when the guest began to run, or was about to */
    int64_t output_offset; /* where QEMU's messages of this run begin in the file that it writes to */
};

/* Writes it into the folder, synced. 0 or a negative errno. */
int record_write(int folder_fd, const struct record *record);
/* Reads it. -ENOENT: there is none; -ESTALE: it is of an earlier boot; -EPROTO: it is no record. */
int record_read(int folder_fd, struct record *ret);
