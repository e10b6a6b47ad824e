// SPDX-License-Identifier: Apache-2.0
/*
 * The version of this program, as it shows in AboutInfo and `tenkyu version`.
 */
#pragma once

#define TENKYU_VERSION "0.1.0"
