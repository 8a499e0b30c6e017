/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proto/pppout.h"

#include "proto/pppfilter.h"

#define COUNT_MASK	0x0fffu
#define LATE_MAX	256u	/* frames that CPUs may have in hand */

void
pppout_init(struct pppout *o)
{
	o->any = false;
	o->high = 0;
}

bool
pppout_before(int a, int b)
{
	unsigned by = ((unsigned)b - (unsigned)a) & COUNT_MASK;

	return by > 0 && by <= LATE_MAX;
}

bool
pppout_late(struct pppout *o, const uint8_t *frame, size_t len,
    int *ret_count)
{
	uint16_t protocol, word;

	*ret_count = PPPOUT_NONE;
	if (!pppfilter_look(frame, len, &protocol, &word))
		return false;
	if (protocol == PPP_CCP)
		o->any = false;
	if (protocol != PPP_COMP)
		return false;
	*ret_count = (int)(word & COUNT_MASK);
	if (o->any && pppout_before(*ret_count, o->high))
		return true;
	o->any = true;
	o->high = (uint16_t)*ret_count;
	return false;
}
