// SPDX-License-Identifier: Apache-2.0
/*
 * Random numbers from the kernel (getrandom(2)), good enough for keys, session secrets and passwords. A machine
 * that gives none is not fit to serve anybody: the process ends. Safe from any thread.
 */
#pragma once

#include <stddef.h>

void random_bytes(void *ret, size_t length);
/* 2 * `length` hex digits of `length` random bytes; to be freed with g_free. */
char *random_hex(size_t length);
