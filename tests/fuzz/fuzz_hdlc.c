/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same bytes whole and in pieces give the same frames; and what is encoded
 * is decoded again. */
#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "proto/hdlc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Hash of all frames in data, fed in pieces of at most step bytes. */
static uint64_t
frames(const uint8_t *data, size_t size, size_t step)
{
	static struct hdlc_dec d;
	uint64_t hash = 1;
	size_t used = 0;

	hdlc_dec_init(&d);
	while (used < size) {
		size_t n = size - used < step ? size - used : step;
		const uint8_t *frame;
		size_t len, did;

		did = hdlc_decode(&d, data + used, n, &frame, &len);
		assert(did > 0 && did <= n);
		used += did;
		if (frame == NULL) {
			assert(did == n);
			continue;
		}
		assert(len >= 2 && len <= HDLC_FRAME_MAX - 2);
		for (size_t i = 0; i < len; i++)
			hash = (hash ^ frame[i]) * 0x100000001b3u;
		hash = (hash ^ len) * 0x100000001b3u;
	}
	hash = (hash ^ d.n_bad_fcs) * 0x100000001b3u;
	hash = (hash ^ d.n_overrun) * 0x100000001b3u;
	hash = (hash ^ d.n_short) * 0x100000001b3u;
	return (hash ^ d.n_abort) * 0x100000001b3u;
}

static void
there_and_back(const uint8_t *data, size_t size, uint32_t accm)
{
	static struct hdlc_dec d;
	static uint8_t line[HDLC_ENCODED_MAX(HDLC_FRAME_MAX)];
	const uint8_t *frame;
	size_t len, n = hdlc_encode(line, sizeof(line), data, size, accm);

	assert((n == 0) == (size == 0 || size > HDLC_FRAME_MAX - 2));
	assert(n <= HDLC_ENCODED_MAX(size));
	for (size_t i = 1; i + 1 < n; i++) {
		assert(line[i] != 0x7e);
		assert(line[i] >= 32 || (accm >> line[i] & 1) == 0);
	}
	if (size < 2 || n == 0)
		return;
	hdlc_dec_init(&d);
	assert(hdlc_decode(&d, line, n, &frame, &len) == n);
	assert(frame != NULL && len == size && memcmp(frame, data, len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t accm = 0;

	if (size < 5)
		return 0;
	assert(frames(data, size, size) == frames(data, size, 1));
	assert(frames(data, size, size) ==
	    frames(data, size, (size_t)data[0] + 1));
	memcpy(&accm, data, 4);
	there_and_back(data + 4, size - 4, accm);
	there_and_back(data + 4, size - 4, 0);
	return 0;
}
