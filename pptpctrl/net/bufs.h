/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffers for received packets, of one size, named by their index: as many as
 * were needed at once so far, up to a bound for all calls together.
 */
#ifndef NET_BUFS_H
#define NET_BUFS_H

#include <stdint.h>

#define FRAME_SIZE	2048u	/* bytes; no packet is larger */
#define BUFS_CHUNK	64u	/* allocated at once */
#define BUFS_CHUNKS_MAX	128u	/* 16 MB */
#define NO_BUF		UINT32_MAX

struct buf {
	uint16_t off, len;	/* its user's: what of data is meant */
	uint32_t next;		/* free one */
	uint8_t data[FRAME_SIZE];
};

struct bufs {
	struct buf *chunk[BUFS_CHUNKS_MAX];
	unsigned n_chunks;
	uint32_t free_buf;
};

void bufs_init(struct bufs *b);
void bufs_free(struct bufs *b);

/* The buffer of an index that bufs_get gave. */
static inline struct buf *
bufs_at(const struct bufs *b, uint32_t i)
{
	return &b->chunk[i / BUFS_CHUNK][i % BUFS_CHUNK];
}

/* Take one; NO_BUF when all are in use or memory is short. */
uint32_t bufs_get(struct bufs *b);

/* Give it back. */
void bufs_put(struct bufs *b, uint32_t i);

#endif
