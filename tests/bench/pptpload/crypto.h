/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PPTP client's cryptography: MS-CHAPv2 (RFC 2759), the keys that it leaves
 * (RFC 3079) and stateless MPPE-128 (RFC 3078).  Worthless as protection, and
 * here only to talk to servers under test.
 *
 * MD4, DES and RC4 are libcrypto's plain functions: they need no provider
 * file, which a minimal system lacks.
 */
#ifndef PPTPLOAD_CRYPTO_H
#define PPTPLOAD_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/rc4.h>

#define CHALLENGE_LEN	16u
#define NT_RESPONSE_LEN	24u
#define SUCCESS_LEN	42u	/* "S=" and 40 hexadecimal digits */
#define KEY_LEN		16u

/* What a user's password and name and both challenges make. */
struct mschap {
	uint8_t response[NT_RESPONSE_LEN];
	char success[SUCCESS_LEN + 1];	/* what the server must answer */
	uint8_t send_key[KEY_LEN], receive_key[KEY_LEN];	/* client's */
};

/* ASCII passwords only. */
void mschap_compute(struct mschap *ret, const char *user, const char *password,
    const uint8_t server[CHALLENGE_LEN], const uint8_t own[CHALLENGE_LEN]);

/* One direction of a call's encryption. */
struct mppe {
	uint8_t start[KEY_LEN];
	uint8_t session[KEY_LEN];
	uint16_t count;		/* 12 bits: of the last packet */
	RC4_KEY rc4;
};

#define MPPE_HEADER	2u

void mppe_init(struct mppe *m, const uint8_t key[KEY_LEN]);

/* Encrypt buf[0..len) in place and write the header that goes before it. */
void mppe_encrypt(struct mppe *m, uint8_t header[MPPE_HEADER], uint8_t *buf,
    size_t len);

/* Undo it.  False, and nothing changed: not encrypted, not stateless, or
 * older than the last one. */
bool mppe_decrypt(struct mppe *m, const uint8_t header[MPPE_HEADER],
    uint8_t *buf, size_t len);

#endif
