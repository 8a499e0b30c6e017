/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links: proto/msg.c
 *
 * The input is tried as one message as it is, and with a header put before
 * it that is right (or nearly).  What decodes must encode to the same bytes,
 * but for the reserved ones. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int ok)
{
	if (!ok)
		abort();
}

static void
there_and_back(const uint8_t *data, size_t size)
{
	uint8_t *in = malloc(size > 0 ? size : 1);
	uint8_t *back;
	struct msg m, again;
	size_t len;

	require(in != NULL);
	if (size > 0)
		memcpy(in, data, size);
	memset(&m, 0x5a, sizeof(m));
	again = m;
	if (!msg_decode(in, size, &m)) {
		require(memcmp(&m, &again, sizeof(m)) == 0);
		free(in);
		return;
	}
	len = msg_len((uint16_t)m.type);
	require(m.type >= MSG_SCCRQ && m.type <= MSG_SLI && len == size);
	back = malloc(len);
	require(back != NULL);
	require(msg_encode(&m, back, len - 1) == 0);
	require(msg_encode(&m, back, len) == len);
	if (!m.reserved)
		require(memcmp(in, back, len) == 0);
	else
		require(memcmp(in, back, len) != 0);
	require(msg_decode(back, len, &again));
	require(!again.reserved && again.type == m.type);
	require(msg_encode(&again, in, len) == len);
	require(memcmp(in, back, len) == 0);
	free(in);
	free(back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buf[MSG_MAX_LEN] = {
		0, 0, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 0, 0, 0,
	};
	size_t len;

	there_and_back(data, size);
	if (size < 1)
		return 0;
	buf[9] = data[0] & 0x0f;
	len = msg_len(buf[9]);
	buf[1] = (uint8_t)len;
	if (len == 0)
		len = 12;
	if (size - 1 > len - 11)	/* the last reserved byte too */
		size = len - 11 + 1;
	memcpy(buf + 11, data + 1, size - 1);
	there_and_back(buf, len);
	return 0;
}
