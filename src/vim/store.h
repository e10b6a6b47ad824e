// SPDX-License-Identifier: Apache-2.0
/*
 * Keeps data objects in files: one JSON object a line, replaced as a whole and atomically. Any thread, but
 * one writer for each file.
 */
#pragma once

#include "vim/type.h"

/* Writes the objects (data objects of any type) in place of the file: the old or the new, never half.
 * 0 or a negative errno. */
int vim_store_save(const char *path, GPtrArray *objects);
/* Reads them; a missing file is an empty list. -EBADMSG: not readable, *ret_message says where. The array
 * owns its objects. */
int vim_store_load(const char *path, GPtrArray **ret, char **ret_message);
