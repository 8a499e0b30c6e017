/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control messages that a PPTP client needs (RFC 2637 section 2), as
 * bytes.
 */
#ifndef PPTPLOAD_CONTROL_H
#define PPTPLOAD_CONTROL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_PORT	1723
#define CONTROL_MAX_LEN	220u	/* OCRQ, ICRQ: the longest */
#define CONTROL_HEADER	12u

enum control_type {
	SCCRQ = 1, SCCRP, STOP_CCRQ, STOP_CCRP, ECHO_RQ, ECHO_RP, OCRQ, OCRP,
	ICRQ, ICRP, ICCN, CCRQ, CDN, WEN, SLI
};

/* Each writes a message to buf[CONTROL_MAX_LEN] and returns its length. */
size_t control_sccrq(uint8_t *buf);
size_t control_ocrq(uint8_t *buf, uint16_t call_id);
size_t control_sli(uint8_t *buf, uint16_t peer_call_id);
size_t control_ccrq(uint8_t *buf, uint16_t call_id);
size_t control_stop_ccrq(uint8_t *buf);
size_t control_echo_rq(uint8_t *buf, uint32_t identifier);
size_t control_echo_rp(uint8_t *buf, const uint8_t *request);

/* The server's answers. */
size_t control_sccrp(uint8_t *buf);
size_t control_ocrp(uint8_t *buf, uint16_t call_id, uint16_t peer_call_id);

/* Length of the whole message at buf[0..len): 0 when it is not all there yet,
 * SIZE_MAX when it is none. */
size_t control_cut(const uint8_t *buf, size_t len);

/* What the n bytes of a message at buf say; its type may be any. */
unsigned control_type_of(const uint8_t *buf);
bool control_sccrp_ok(const uint8_t *buf, size_t n);
bool control_ocrp_ok(const uint8_t *buf, size_t n, uint16_t call_id,
    uint16_t *ret_server_id);

/* A connected TCP socket bound to source (0: any), or -1 with errno.  Not
 * blocking: writable once the connection is there. */
int control_connect(struct in_addr server, struct in_addr source);

#endif
