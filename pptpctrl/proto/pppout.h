/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of frames from pppd, by MPPE's coherency count (RFC 3078 section
 * 3).  The kernel encrypts a call's frames one after another, but on several
 * CPUs; each passes on what it has in its own time, and one frame overtakes
 * another.  A client takes one that comes late for an error, and drops all
 * that follow until CCP has started its keys anew.
 *
 * Pure: no system calls, no allocation, no clock, no log.
 */
#ifndef PROTO_PPPOUT_H
#define PROTO_PPPOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PPPOUT_NONE	-1	/* count of a frame that is none of MPPE's */

struct pppout {			/* private, but embedded by the caller */
	bool any;
	uint16_t high;		/* newest count so far */
};

/* Nothing is known of the frames before. */
void pppout_init(struct pppout *o);

/*
 * The next frame as it came, whose count is *ret_count or PPPOUT_NONE.  True:
 * one with a higher count came before it.  CCP begins to count anew, and so
 * does a count that is far from the others.
 */
bool pppout_late(struct pppout *o, const uint8_t *frame, size_t len,
    int *ret_count);

/* Is count a before b? */
bool pppout_before(int a, int b);

#endif
