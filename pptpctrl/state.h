/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of plain records in sealed shared memory, which outlives the
 * process that writes it: the worker's connections, the launcher's calls.
 *
 * One writer at a time, who may die between any two instructions.  Each slot
 * has two copies of its record, written in turn with a generation and a
 * checksum, so that a torn update is seen and the record before it is still
 * there; and an area of plain words ("live") that are written one by one,
 * each of them whole at any time.
 *
 * Versions: another major version or layout is refused; of another minor one
 * the fields that both know are read (records grow at their end only).
 */
#ifndef PPTPCTRL_STATE_H
#define PPTPCTRL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_WHY_MAX	200
#define STATE_SLOTS_MAX	1048576u
#define STATE_REC_MAX	65536u

/* What a table holds: the same numbers make and open it. */
struct state_kind {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t layout;	/* sizes of what the records embed, mixed */
	uint32_t rec_size;	/* largest record */
	uint32_t live_size;	/* a multiple of 8 */
};

struct state {			/* private; initialise with STATE_INIT */
	int fd;
	uint8_t *map;
	size_t size;
	uint32_t n;
	uint32_t rec_size, live_size;
	size_t stride;
	uint16_t minor;		/* of whoever wrote it */
};
#define STATE_INIT	{ .fd = -1 }

enum state_got {
	STATE_EMPTY,
	STATE_OK,
	STATE_BAD,		/* there was a record, no copy of it is whole */
};

/* A new table with n empty slots, named for /proc.  0, or -1 with errno. */
int state_create(struct state *t, const struct state_kind *kind,
    const char *name, uint32_t n);

/*
 * Open the table in fd, which stays the caller's until this succeeds and is
 * the table's from then on.  -1 with a phrase in why when it is no sealed
 * memory, truncated, corrupt, or of a version that cannot be read.
 */
int state_open(struct state *t, const struct state_kind *kind, int fd,
    char why[STATE_WHY_MAX]);

/* Unmap and close it. */
void state_close(struct state *t);

bool state_is_open(const struct state *t);

/* Make rec[0..len) the record of slot i; len from 1 to rec_size, else
 * nothing changes. */
void state_put(struct state *t, uint32_t i, const void *rec, size_t len);

/* Empty slot i, its live words and its blame. */
void state_clear(struct state *t, uint32_t i);

/* Copy the newest whole record of slot i to rec[0..size): what is shorter is
 * filled with zeros, what is longer is cut.  Only on STATE_OK is rec
 * changed, and *ret_len (may be NULL) the length that was put. */
enum state_got state_get(const struct state *t, uint32_t i, void *rec,
    size_t size, size_t *ret_len);

/* The live words of slot i, live_size bytes of the table's own version. */
void *state_live(const struct state *t, uint32_t i);

/*
 * Which slot is being worked on, for whoever comes after a crash: begin
 * before, end after.  state_suspect: the slot whose work was not ended, or
 * -1.  state_blame counts one against a slot; it and state_blamed return how
 * often that was.
 */
void state_begin(struct state *t, uint32_t i);
void state_end(struct state *t);
long state_suspect(const struct state *t);
unsigned state_blame(struct state *t, uint32_t i);
unsigned state_blamed(const struct state *t, uint32_t i);

/* The writer has filled in everything: before that, the table it was made
 * from is the one that counts. */
void state_set_complete(struct state *t);
bool state_complete(const struct state *t);

/* Is fd sealed memory as state_create makes it? */
bool state_is_table(int fd);

#endif
