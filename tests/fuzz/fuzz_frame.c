/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/frame.c proto/msg.c
 *
 * The input is a byte stream.  What frame_next says of any beginning of it
 * must agree with what it says when more has come. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED 4711u

static void
require(int ok)
{
	if (!ok)
		abort();
}

/* A copy of its own size, so that ASan sees a byte too far. */
static enum frame_status
judge(const uint8_t *data, size_t len, size_t *ret_len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	enum frame_status st;

	require(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	st = frame_next(copy, len, ret_len);
	free(copy);
	return st;
}

/* Every beginning of the message data[0..whole), judged READY at the end. */
static void
beginnings_want_more(const uint8_t *data, size_t whole)
{
	size_t n = UNTOUCHED;

	for (size_t len = 0; len < whole; len++)
		require(judge(data, len, &n) == FRAME_MORE);
	require(n == UNTOUCHED);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t off = 0; off <= size;) {
		size_t n = UNTOUCHED;
		enum frame_status last = FRAME_MORE;
		struct msg m;

		switch (judge(data + off, size - off, &n)) {
		case FRAME_READY:
			require(n >= FRAME_HDR_LEN && n <= FRAME_MAX_LEN &&
			    n <= size - off);
			require(msg_decode(data + off, n, &m));
			beginnings_want_more(data + off, n);
			off += n;
			continue;
		case FRAME_MORE:
			require(n == UNTOUCHED && size - off < FRAME_MAX_LEN);
			beginnings_want_more(data + off, size - off);
			return 0;
		case FRAME_DESYNC:
			require(n == UNTOUCHED);
			/* Once lost, more bytes do not help; ten decide. */
			for (size_t len = 0; len <= size - off && len <= 10;
			    len++) {
				enum frame_status st = judge(data + off, len,
				    &n);

				require(st == FRAME_MORE ||
				    st == FRAME_DESYNC);
				require(st == FRAME_DESYNC ||
				    last == FRAME_MORE);
				last = st;
			}
			require(last == FRAME_DESYNC);
			return 0;
		}
	}
	return 0;
}
