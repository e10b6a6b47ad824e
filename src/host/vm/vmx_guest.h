// SPDX-License-Identifier: Apache-2.0
/*
 * The guest operating system in a .vmx file ("ubuntu-64") and in the VI API ("ubuntu64Guest").
 */
#pragma once

/* The API's identifier for a file's word, or NULL when there is none. Static. */
const char *vmx_guest_to_api(const char *word);
/* The file's word for an identifier that vmx_guest_to_api would give back; others stay as they are, since
 * a file may hold an identifier too. To be freed with g_free. */
char *vmx_guest_from_api(const char *id);
