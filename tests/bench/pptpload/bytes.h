/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers in network order. */
#ifndef PPTPLOAD_BYTES_H
#define PPTPLOAD_BYTES_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

static inline void
put16(uint8_t *at, uint16_t v)
{
	v = htons(v);
	memcpy(at, &v, sizeof(v));
}

static inline void
put32(uint8_t *at, uint32_t v)
{
	v = htonl(v);
	memcpy(at, &v, sizeof(v));
}

static inline uint16_t
get16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return ntohs(v);
}

static inline uint32_t
get32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return ntohl(v);
}

#endif
