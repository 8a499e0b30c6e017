/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/ids.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum id_state { ID_FREE, ID_USED, ID_RESTING };

struct ids_resting {
	STAILQ_ENTRY(ids_resting) next;
	uint16_t id;
	uint64_t until;
};

void
ids_init(struct ids *ids)
{
	memset(ids->state, ID_FREE, sizeof(ids->state));
	STAILQ_INIT(&ids->resting);
}

static void
wake_rested(struct ids *ids, uint64_t now_ms)
{
	struct ids_resting *r;

	while ((r = STAILQ_FIRST(&ids->resting)) && r->until <= now_ms) {
		STAILQ_REMOVE_HEAD(&ids->resting, next);
		ids->state[r->id] = ID_FREE;
		free(r);
	}
}

uint16_t
ids_take(struct ids *ids, uint64_t now_ms)
{
	uint16_t start;

	wake_rested(ids, now_ms);
	if (getrandom(&start, sizeof(start), 0) != sizeof(start))
		return 0;
	for (unsigned i = 0; i <= UINT16_MAX; i++) {
		uint16_t id = (uint16_t)(start + i);

		if (id != 0 && ids->state[id] == ID_FREE) {
			ids->state[id] = ID_USED;
			return id;
		}
	}
	return 0;
}

void
ids_use(struct ids *ids, uint16_t id)
{
	ids->state[id] = ID_USED;
}

void
ids_rest(struct ids *ids, uint16_t id, uint64_t now_ms)
{
	struct ids_resting *r = malloc(sizeof(*r));

	if (!r)
		return;		/* it stays used: safe, and one id poorer */
	r->id = id;
	r->until = now_ms + IDS_REST_MS;
	ids->state[id] = ID_RESTING;
	STAILQ_INSERT_TAIL(&ids->resting, r, next);
}

void
ids_put(struct ids *ids, uint16_t id)
{
	ids->state[id] = ID_FREE;
}
