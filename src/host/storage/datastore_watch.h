// SPDX-License-Identifier: Apache-2.0
/*
 * Looks after the datastores that may come and go: those of file servers, and folders that were not there. One thread
 * of its own asks each every ten seconds for its space; one that does not answer within three, or cannot be opened,
 * is shown as not accessible and refused to operations, so that the rest of the host works on. One that is back is
 * mounted, opened and shown; if it was not there at the host's start, its machines are read then, and what a crash
 * left of them is tidied.
 */
#pragma once

struct host;
struct datastore_watch;

/* After the inventory is complete. */
struct datastore_watch *datastore_watch_start(struct host *host);
/* Ends the thread, at the latest after the program that mounts. NULL is allowed. */
void datastore_watch_stop(struct datastore_watch *watch);
/* Looks now; returns at once. */
void datastore_watch_hurry(struct datastore_watch *watch);
