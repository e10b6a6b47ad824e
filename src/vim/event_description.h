// SPDX-License-Identifier: Apache-2.0
/*
 * What is known of types of events from the schema alone: categories, texts, arguments. Pure functions.
 */
#pragma once

#include "vim/types.h"

/* EventManager.description: the categories, and each type that events can have. The caller owns it. */
struct EventDescription *vim_event_description(void);
/* Whether events are of this type itself, which is then no mere base of others. */
bool vim_event_is_concrete(const struct vim_type *type);
/* "info", "warning", "error" or "user". Borrowed. */
const char *vim_event_category(const struct Event *event);
/* The name that filters know the event's type by. Borrowed. */
const char *vim_event_type_id(const struct Event *event);
/* Adds the arguments of an event type to an array of EventArgDesc. */
void vim_event_describe_arguments(const struct vim_type *type, void *array);
