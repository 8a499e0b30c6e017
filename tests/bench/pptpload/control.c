/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/tcp.h>

#include "bytes.h"

#define MAGIC		0x1a2b3c4du
#define WINDOW		64u

static size_t
start(uint8_t *buf, enum control_type type, size_t len)
{
	memset(buf, 0, len);
	put16(buf, (uint16_t)len);
	put16(buf + 2, 1);
	put32(buf + 4, MAGIC);
	put16(buf + 8, (uint16_t)type);
	return len;
}

size_t
control_sccrq(uint8_t *buf)
{
	size_t len = start(buf, SCCRQ, 156);

	put16(buf + 12, 0x0100);
	put32(buf + 16, 3);		/* framing: both */
	put32(buf + 20, 3);		/* bearer: both */
	memcpy(buf + 28, "pptpload", 8);
	memcpy(buf + 92, "pptpload", 8);
	return len;
}

size_t
control_ocrq(uint8_t *buf, uint16_t call_id)
{
	size_t len = start(buf, OCRQ, 168);

	put16(buf + 12, call_id);
	put16(buf + 14, call_id);	/* serial number: anything */
	put32(buf + 16, 300);
	put32(buf + 20, 100000000);
	put32(buf + 24, 3);
	put32(buf + 28, 3);
	put16(buf + 32, WINDOW);
	return len;
}

size_t
control_sli(uint8_t *buf, uint16_t peer_call_id)
{
	size_t len = start(buf, SLI, 24);

	put16(buf + 12, peer_call_id);
	put32(buf + 16, 0xffffffff);
	put32(buf + 20, 0xffffffff);
	return len;
}

size_t
control_ccrq(uint8_t *buf, uint16_t call_id)
{
	size_t len = start(buf, CCRQ, 16);

	put16(buf + 12, call_id);
	return len;
}

size_t
control_stop_ccrq(uint8_t *buf)
{
	size_t len = start(buf, STOP_CCRQ, 16);

	buf[12] = 1;
	return len;
}

size_t
control_echo_rq(uint8_t *buf, uint32_t identifier)
{
	size_t len = start(buf, ECHO_RQ, 16);

	put32(buf + 12, identifier);
	return len;
}

size_t
control_echo_rp(uint8_t *buf, const uint8_t *request)
{
	size_t len = start(buf, ECHO_RP, 20);

	memcpy(buf + 12, request + 12, 4);
	buf[16] = 1;
	return len;
}

size_t
control_sccrp(uint8_t *buf)
{
	size_t len = start(buf, SCCRP, 156);

	put16(buf + 12, 0x0100);
	buf[14] = 1;			/* all well */
	put32(buf + 16, 3);
	put32(buf + 20, 3);
	put16(buf + 24, 1);
	return len;
}

size_t
control_ocrp(uint8_t *buf, uint16_t call_id, uint16_t peer_call_id)
{
	size_t len = start(buf, OCRP, 32);

	put16(buf + 12, call_id);
	put16(buf + 14, peer_call_id);
	buf[16] = 1;
	put32(buf + 20, 100000000);
	put16(buf + 24, WINDOW);
	return len;
}

size_t
control_cut(const uint8_t *buf, size_t len)
{
	size_t n;

	if (len < CONTROL_HEADER)
		return 0;
	n = get16(buf);
	if (n < 16 || n > CONTROL_MAX_LEN || get32(buf + 4) != MAGIC)
		return SIZE_MAX;
	return n <= len ? n : 0;
}

unsigned
control_type_of(const uint8_t *buf)
{
	return get16(buf + 8);
}

bool
control_sccrp_ok(const uint8_t *buf, size_t n)
{
	return n == 156 && buf[14] == 1;
}

bool
control_ocrp_ok(const uint8_t *buf, size_t n, uint16_t call_id,
    uint16_t *ret_server_id)
{
	if (n != 32 || get16(buf + 14) != call_id || buf[16] != 1)
		return false;
	*ret_server_id = get16(buf + 12);
	return true;
}

int
control_connect(struct in_addr server, struct in_addr source)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = server,
	    .sin_port = htons(CONTROL_PORT) };
	struct sockaddr_in from = { .sin_family = AF_INET,
	    .sin_addr = source };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	int one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if ((source.s_addr == 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0) &&
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ||
	    errno == EINPROGRESS))
		return fd;
	close(fd);
	return -1;
}
