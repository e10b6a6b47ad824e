// SPDX-License-Identifier: Apache-2.0
/*
 * The fixed texts of TaskManager.description. Pure function.
 */
#pragma once

#include "vim/types.h"

/* The texts for types of tasks, states and reasons. The caller owns it. */
struct TaskDescription *vim_task_description(void);
