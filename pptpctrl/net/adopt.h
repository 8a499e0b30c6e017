/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the worker leaves to the one after it, and what it takes over from the
 * one before it: each established control connection with its calls is a
 * record of a table (state.h), its socket a copy in the launcher's hands.
 */
#ifndef NET_ADOPT_H
#define NET_ADOPT_H

#include "state.h"

struct conn;
struct worker;
struct worker_setup;

/* The worker's kind of table, with REQ_KEYS() + 1 slots: keys are slots. */
const struct state_kind *adopt_kind(void);

/*
 * Take over what setup hands on, and write the new table.  A connection that
 * cannot be gone on with is ended in order, the others stay.  0 or -errno.
 */
int adopt_all(struct worker *w, const struct worker_setup *setup);

/* The connection is worth keeping, if it is not kept already: give it a
 * record, the launcher a copy of its socket.  Without a free slot it lives
 * without. */
void adopt_keep(struct conn *c);

/* It is at rest: write its record.  Nothing happens for one not kept. */
void adopt_save(struct conn *c);

/* Its socket is closed: the launcher closes the copy. */
void adopt_drop(struct conn *c);

/* It is over. */
void adopt_forget(struct conn *c);

/* Its input is worked on: a crash between the two is blamed on it. */
void adopt_begin(const struct conn *c);
void adopt_end(struct worker *w);

#endif
