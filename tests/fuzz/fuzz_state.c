/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a table that another process left. */
#undef NDEBUG
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct state_kind kind = { .magic = 0x7a7a7566, .major = 1,
	.minor = 1, .layout = 2, .rec_size = 32, .live_size = 16 };

static void
read_all(struct state *t)
{
	long suspect = state_suspect(t);
	uint8_t rec[64];

	for (uint32_t i = 0; i < t->n && i < 64; i++) {
		size_t len = 0;

		if (state_get(t, i, rec, sizeof(rec), &len) == STATE_OK)
			assert(len > 0 && len <= t->rec_size);
		memset(state_live(t, i), 1, kind.live_size);
		(void)state_blamed(t, i);
	}
	assert(suspect < (long)t->n);
	if (t->n > 0) {
		memset(rec, 3, sizeof(rec));
		if (t->rec_size >= 8) {
			state_put(t, 0, rec, 8);
			assert(state_get(t, 0, rec, 8, NULL) == STATE_OK);
		}
		state_clear(t, 0);
		assert(state_get(t, 0, rec, 8, NULL) == STATE_EMPTY);
	}
}

static int
sealed(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	assert(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	return fd;
}

/* The header's checksum would stop nearly everything: a good table, into
 * which the input is written from its first bytes' offset on. */
static void
patched(const uint8_t *data, size_t size)
{
	struct state t = STATE_INIT, made = STATE_INIT;
	char why[STATE_WHY_MAX];
	uint8_t rec[32] = { 9 };
	size_t at;
	int fd;

	if (size < 2)
		return;
	assert(state_create(&made, &kind, "fuzz", 3) == 0);
	state_put(&made, 1, rec, sizeof(rec));
	at = (size_t)(data[0] << 8 | data[1]) % made.size;
	size -= 2;
	if (size > made.size - at)
		size = made.size - at;
	memcpy(made.map + at, data + 2, size);
	fd = dup(made.fd);
	if (state_open(&t, &kind, fd, why) == 0) {
		read_all(&t);
		state_close(&t);
	} else {
		close(fd);
	}
	state_close(&made);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state t = STATE_INIT;
	char why[STATE_WHY_MAX];
	int fd = sealed(data, size);

	if (state_open(&t, &kind, fd, why) == 0) {
		read_all(&t);
		state_close(&t);
	} else {
		close(fd);
	}
	patched(data, size);
	return 0;
}
