/* SPDX-License-Identifier: GPL-2.0-or-later */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto.h"

#include <string.h>

#include <openssl/des.h>
#include <openssl/md4.h>
#include <openssl/sha.h>

#define PASSWORD_MAX	256u

#define MPPE_FLUSHED	0x80u
#define MPPE_ENCRYPTED	0x10u
#define MPPE_COUNT	0x0fffu

/* --- MS-CHAPv2 ---------------------------------------------------------- */

static void
password_hash(const char *password, uint8_t ret[MD4_DIGEST_LENGTH])
{
	uint8_t utf16[2 * PASSWORD_MAX] = { 0 };
	size_t n = strnlen(password, PASSWORD_MAX);

	for (size_t i = 0; i < n; i++)
		utf16[2 * i] = (uint8_t)password[i];
	MD4(utf16, 2 * n, ret);
}

/* DES under 56 bits of key, spread over eight bytes whose lowest bit is
 * parity, which nobody looks at. */
static void
des_block(const uint8_t key[7], const uint8_t in[8], uint8_t out[8])
{
	DES_cblock k, block;
	DES_key_schedule schedule;
	uint64_t bits = 0;

	for (int i = 0; i < 7; i++)
		bits = bits << 8 | key[i];
	for (int i = 7; i >= 0; i--) {
		k[i] = (uint8_t)((bits & 0x7f) << 1);
		bits >>= 7;
	}
	memcpy(block, in, 8);
	DES_set_key_unchecked(&k, &schedule);
	DES_ecb_encrypt(&block, (DES_cblock *)out, &schedule, DES_ENCRYPT);
}

static void
sha1_of(uint8_t ret[SHA_DIGEST_LENGTH], const void *a, size_t a_len,
    const void *b, size_t b_len, const char *c)
{
	SHA_CTX ctx;

	SHA1_Init(&ctx);
	SHA1_Update(&ctx, a, a_len);
	SHA1_Update(&ctx, b, b_len);
	SHA1_Update(&ctx, c, strlen(c));
	SHA1_Final(ret, &ctx);
}

/* RFC 3079 3.3: a direction's key, from the master key. */
static void
start_key(const uint8_t master[KEY_LEN], const char *direction,
    uint8_t ret[KEY_LEN])
{
	uint8_t pad1[40], pad2[40], digest[SHA_DIGEST_LENGTH];
	SHA_CTX ctx;

	memset(pad1, 0, sizeof(pad1));
	memset(pad2, 0xf2, sizeof(pad2));
	SHA1_Init(&ctx);
	SHA1_Update(&ctx, master, KEY_LEN);
	SHA1_Update(&ctx, pad1, sizeof(pad1));
	SHA1_Update(&ctx, direction, strlen(direction));
	SHA1_Update(&ctx, pad2, sizeof(pad2));
	SHA1_Final(digest, &ctx);
	memcpy(ret, digest, KEY_LEN);
}

static void
success_text(const uint8_t digest[SHA_DIGEST_LENGTH],
    char ret[SUCCESS_LEN + 1])
{
	static const char hex[] = "0123456789ABCDEF";

	*ret++ = 'S';
	*ret++ = '=';
	for (int i = 0; i < SHA_DIGEST_LENGTH; i++) {
		*ret++ = hex[digest[i] >> 4];
		*ret++ = hex[digest[i] & 15];
	}
	*ret = '\0';
}

void
mschap_compute(struct mschap *ret, const char *user, const char *password,
    const uint8_t server[CHALLENGE_LEN], const uint8_t own[CHALLENGE_LEN])
{
	uint8_t hash[21] = { 0 };	/* padded to three DES keys */
	uint8_t hash_hash[MD4_DIGEST_LENGTH];
	uint8_t challenge[SHA_DIGEST_LENGTH], digest[SHA_DIGEST_LENGTH];
	uint8_t both[2 * CHALLENGE_LEN];

	memcpy(both, own, CHALLENGE_LEN);
	memcpy(both + CHALLENGE_LEN, server, CHALLENGE_LEN);
	sha1_of(challenge, both, sizeof(both), "", 0, user);
	password_hash(password, hash);
	for (int i = 0; i < 3; i++)
		des_block(hash + 7 * i, challenge, ret->response + 8 * i);

	MD4(hash, MD4_DIGEST_LENGTH, hash_hash);
	sha1_of(digest, hash_hash, sizeof(hash_hash), ret->response,
	    NT_RESPONSE_LEN, "Magic server to client signing constant");
	sha1_of(digest, digest, sizeof(digest), challenge, 8,
	    "Pad to make it do more than one iteration");
	success_text(digest, ret->success);

	sha1_of(digest, hash_hash, sizeof(hash_hash), ret->response,
	    NT_RESPONSE_LEN, "This is the MPPE Master Key");
	start_key(digest, "On the client side, this is the send key; "
	    "on the server side, it is the receive key.", ret->send_key);
	start_key(digest, "On the client side, this is the receive key; "
	    "on the server side, it is the send key.", ret->receive_key);
}

/* --- MPPE --------------------------------------------------------------- */

static void
next_digest(const struct mppe *m, uint8_t ret[SHA_DIGEST_LENGTH])
{
	uint8_t block[2 * KEY_LEN + 80];

	memcpy(block, m->start, KEY_LEN);
	memset(block + KEY_LEN, 0, 40);
	memcpy(block + KEY_LEN + 40, m->session, KEY_LEN);
	memset(block + 2 * KEY_LEN + 40, 0xf2, 40);
	SHA1(block, sizeof(block), ret);
}

static void
rekey(struct mppe *m)
{
	uint8_t digest[SHA_DIGEST_LENGTH];

	next_digest(m, digest);
	RC4_set_key(&m->rc4, KEY_LEN, digest);
	RC4(&m->rc4, KEY_LEN, digest, m->session);
	m->count = (m->count + 1) & MPPE_COUNT;
}

void
mppe_init(struct mppe *m, const uint8_t key[KEY_LEN])
{
	uint8_t digest[SHA_DIGEST_LENGTH];

	memcpy(m->start, key, KEY_LEN);
	memcpy(m->session, key, KEY_LEN);
	next_digest(m, digest);
	memcpy(m->session, digest, KEY_LEN);
	m->count = MPPE_COUNT;
}

static void
apply(struct mppe *m, uint8_t *buf, size_t len)
{
	RC4_set_key(&m->rc4, KEY_LEN, m->session);
	RC4(&m->rc4, len, buf, buf);
}

void
mppe_encrypt(struct mppe *m, uint8_t header[MPPE_HEADER], uint8_t *buf,
    size_t len)
{
	rekey(m);
	header[0] = (uint8_t)(MPPE_FLUSHED | MPPE_ENCRYPTED | m->count >> 8);
	header[1] = (uint8_t)m->count;
	apply(m, buf, len);
}

bool
mppe_decrypt(struct mppe *m, const uint8_t header[MPPE_HEADER], uint8_t *buf,
    size_t len)
{
	uint16_t count = (uint16_t)((header[0] << 8 | header[1]) & MPPE_COUNT);
	uint16_t ahead = (count - m->count) & MPPE_COUNT;

	if ((header[0] & MPPE_FLUSHED) == 0 ||
	    (header[0] & MPPE_ENCRYPTED) == 0)
		return false;
	if (ahead == 0 || ahead > MPPE_COUNT / 2)
		return false;
	while (m->count != count)
		rekey(m);
	apply(m, buf, len);
	return true;
}
