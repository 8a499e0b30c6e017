/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/bufs.h"

#include <stdlib.h>

void
bufs_init(struct bufs *b)
{
	b->n_chunks = 0;
	b->free_buf = NO_BUF;
}

void
bufs_free(struct bufs *b)
{
	for (unsigned i = 0; i < b->n_chunks; i++)
		free(b->chunk[i]);
	bufs_init(b);
}

void
bufs_put(struct bufs *b, uint32_t i)
{
	bufs_at(b, i)->next = b->free_buf;
	b->free_buf = i;
}

uint32_t
bufs_get(struct bufs *b)
{
	uint32_t i = b->free_buf;

	if (i == NO_BUF) {
		struct buf *chunk;

		if (b->n_chunks == BUFS_CHUNKS_MAX)
			return NO_BUF;
		chunk = malloc(BUFS_CHUNK * sizeof(*chunk));
		if (!chunk)
			return NO_BUF;
		b->chunk[b->n_chunks] = chunk;
		for (uint32_t k = 0; k < BUFS_CHUNK; k++)
			bufs_put(b, b->n_chunks * BUFS_CHUNK + k);
		b->n_chunks++;
		i = b->free_buf;
	}
	b->free_buf = bufs_at(b, i)->next;
	return i;
}
