// SPDX-License-Identifier: Apache-2.0
/*
 * Deadlines: one thread that calls functions at their time. Used for the time-outs of parked requests, of
 * sessions and the like; thousands of pending timers cost a little memory each and no thread.
 *
 * The functions run one after the other on the timer thread, so each must be short: hand real work to a
 * worker pool. A function may add and cancel timers. All functions here are safe from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timer_queue;

typedef void (*timer_fn)(void *data);

/* Milliseconds of CLOCK_MONOTONIC: the clock of every deadline. */
int64_t timer_now_ms(void);

/* name: of the thread, at most 15 characters. Freed with timer_queue_free. */
struct timer_queue *timer_queue_new(const char *name);

/*
 * Calls fn(data) once, at at_ms (timer_now_ms() + delay; a time in the past means at once) or as soon as
 * the functions before it are done. Timers of the same time run in the order of their adding. The handle
 * is never 0 and is never given twice. data must live until fn has run or the timer was cancelled.
 */
uint64_t timer_add(struct timer_queue *queue, int64_t at_ms, timer_fn fn, void *data);

/*
 * After this the function is not running and will not run: it waits for one that is running, unless it
 * is called from the timer thread itself. So it must not be called while holding a lock that fn takes.
 * Returns true when the function has not run and will not, false when it has run (or 0 was given).
 */
bool timer_cancel(struct timer_queue *queue, uint64_t handle);

/*
 * Forgets the pending timers without calling them, waits for a running one and ends the thread. Not from
 * the timer thread.
 */
void timer_queue_free(struct timer_queue *queue);
