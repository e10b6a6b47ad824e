// SPDX-License-Identifier: Apache-2.0
/*
 * Guest operating systems by the VI API's identifiers.
 */
#pragma once

/* The full name of a guest OS identifier ("debian10_64Guest"), or NULL when there is none such. */
const char *guest_os_full_name(const char *id);
