/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fifteen control messages: RFC 2637 section 2, bytes to struct and
 * back.  Values are not judged here, only layout and length.
 *
 * Pure: no system calls, no allocation, no clock, no log.
 */
#ifndef PROTO_MSG_H
#define PROTO_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSG_CONTROL	1u		/* PPTP message type; 2 is undefined */
#define MSG_COOKIE	0x1a2b3c4du
#define MSG_VERSION	0x0100u		/* 1.0, the only one there is */
#define MSG_MAX_LEN	220u		/* Incoming-Call-Request */
#define MSG_NAME_LEN	64u
#define MSG_STATS_LEN	128u

enum msg_type {
	MSG_SCCRQ = 1,		/* Start-Control-Connection-Request */
	MSG_SCCRP,
	MSG_STOPCCRQ,		/* Stop-Control-Connection-Request */
	MSG_STOPCCRP,
	MSG_ECHORQ,
	MSG_ECHORP,
	MSG_OCRQ,		/* Outgoing-Call-Request */
	MSG_OCRP,
	MSG_ICRQ,		/* Incoming-Call-Request */
	MSG_ICRP,
	MSG_ICCN,		/* Incoming-Call-Connected */
	MSG_CCR,		/* Call-Clear-Request */
	MSG_CDN,		/* Call-Disconnect-Notify */
	MSG_WEN,		/* WAN-Error-Notify */
	MSG_SLI,		/* Set-Link-Info */
};

/* RFC 2637 section 2.16: error, when the result is general error. */
enum {
	MSG_ERR_NONE = 0,
	MSG_ERR_NOT_CONNECTED,
	MSG_ERR_BAD_FORMAT,
	MSG_ERR_BAD_VALUE,
	MSG_ERR_NO_RESOURCE,
	MSG_ERR_BAD_CALL_ID,
	MSG_ERR_PAC,
};

enum {				/* SCCRP result */
	SCCRP_OK = 1,
	SCCRP_GENERAL,
	SCCRP_EXISTS,
	SCCRP_NOT_AUTHORIZED,
	SCCRP_BAD_VERSION,
};

enum {				/* StopCCRQ reason */
	STOPCCRQ_NONE = 1,
	STOPCCRQ_PROTOCOL,
	STOPCCRQ_SHUTDOWN,
};

enum {				/* StopCCRP and Echo-Reply result */
	STOPCCRP_OK = 1,
	STOPCCRP_GENERAL,
	ECHORP_OK = 1,
	ECHORP_GENERAL,
};

enum {				/* OCRP result */
	OCRP_OK = 1,
	OCRP_GENERAL,
	OCRP_NO_CARRIER,
	OCRP_BUSY,
	OCRP_NO_DIAL_TONE,
	OCRP_TIMEOUT,
	OCRP_NOT_ACCEPTED,
};

enum {				/* ICRP result */
	ICRP_OK = 1,
	ICRP_GENERAL,
	ICRP_NOT_ACCEPTED,
};

enum {				/* CDN result */
	CDN_LOST_CARRIER = 1,
	CDN_GENERAL,
	CDN_ADMIN,
	CDN_REQUEST,
};

/*
 * Strings have their size on the wire: 64 bytes of them may be used without
 * a NUL, and some clients leave garbage behind the NUL.
 */
struct msg_scc {		/* SCCRQ: result and error do not exist */
	uint16_t version;
	uint8_t result, error;
	uint32_t framing, bearer;
	uint16_t max_channels, firmware;
	char host[MSG_NAME_LEN], vendor[MSG_NAME_LEN];
};

struct msg_stopccrq {
	uint8_t reason;
};

struct msg_stopccrp {
	uint8_t result, error;
};

struct msg_echorq {
	uint32_t id;
};

struct msg_echorp {
	uint32_t id;
	uint8_t result, error;
};

struct msg_ocrq {
	uint16_t call_id, serial;	/* of the sender */
	uint32_t min_bps, max_bps, bearer, framing;
	uint16_t window, delay;
	uint16_t phone_len;		/* as sent: not an index */
	char phone[MSG_NAME_LEN], subaddress[MSG_NAME_LEN];
};

struct msg_ocrp {
	uint16_t call_id, peer_id;	/* of the sender, of the receiver */
	uint8_t result, error;
	uint16_t cause;
	uint32_t speed;
	uint16_t window, delay;
	uint32_t channel;
};

struct msg_icrq {
	uint16_t call_id, serial;
	uint32_t bearer, channel;
	uint16_t dialed_len, dialing_len;
	char dialed[MSG_NAME_LEN], dialing[MSG_NAME_LEN];
	char subaddress[MSG_NAME_LEN];
};

struct msg_icrp {
	uint16_t call_id, peer_id;
	uint8_t result, error;
	uint16_t window, delay;
};

struct msg_iccn {
	uint16_t peer_id;
	uint32_t speed;
	uint16_t window, delay;
	uint32_t framing;
};

struct msg_ccr {
	uint16_t call_id;		/* of the sender */
};

struct msg_cdn {
	uint16_t call_id;		/* of the sender */
	uint8_t result, error;
	uint16_t cause;
	char stats[MSG_STATS_LEN];
};

struct msg_wen {
	uint16_t peer_id;		/* of the receiver */
	uint32_t crc, framing, hardware, overrun, timeout, alignment;
};

struct msg_sli {
	uint16_t peer_id;		/* of the receiver */
	uint32_t send_accm, recv_accm;
};

struct msg {
	enum msg_type type;
	bool reserved;		/* decoded: a reserved field was not 0 */
	union {
		struct msg_scc scc;		/* SCCRQ, SCCRP */
		struct msg_stopccrq stopccrq;
		struct msg_stopccrp stopccrp;
		struct msg_echorq echorq;
		struct msg_echorp echorp;
		struct msg_ocrq ocrq;
		struct msg_ocrp ocrp;
		struct msg_icrq icrq;
		struct msg_icrp icrp;
		struct msg_iccn iccn;
		struct msg_ccr ccr;
		struct msg_cdn cdn;
		struct msg_wen wen;
		struct msg_sli sli;
	};
};

/* The length of a message of this type with its header; 0: no such type. */
size_t msg_len(uint16_t type);

/*
 * Decode the one message buf[0..len).  False, and ret untouched, unless
 * header and length are exactly those of a control message.  ret keeps no
 * pointer to buf.
 */
bool msg_decode(const uint8_t *buf, size_t len, struct msg *ret);

/* Encode m to buf[0..size), reserved fields 0.  Returns the length, or 0 when
 * buf is too small or there is no such type. */
size_t msg_encode(const struct msg *m, uint8_t *buf, size_t size);

#endif
