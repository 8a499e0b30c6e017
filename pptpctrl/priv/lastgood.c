/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/lastgood.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "priv/store.h"

/*
 * Strings, each ended by NUL: MAGIC, the file's name, the words of the command
 * line after that of the program; then LAST_WORD, and the file's text.
 */
#define MAGIC		"pptpctrl configuration 1"
#define LAST_WORD	"\n"
#define WORDS_MAX	256
#define SEALS	(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static bool
put(int fd, const char *bytes, size_t len)
{
	return len == 0 || write(fd, bytes, len) == (ssize_t)len;
}

static bool
put_string(int fd, const char *text)
{
	return put(fd, text, strlen(text) + 1);
}

void
lastgood_keep(const struct conf *conf, int argc, char **argv)
{
	int fd = memfd_create("pptpd-conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	bool ok = fd >= 0 && put_string(fd, MAGIC) &&
	    put_string(fd, conf->file);

	for (int i = 1; i < argc && ok; i++)
		ok = put_string(fd, argv[i]);
	if (ok && put_string(fd, LAST_WORD) &&
	    put(fd, conf->text, conf->text_len) &&
	    fcntl(fd, F_ADD_SEALS, SEALS) == 0) {
		store_put(STORE_CONF, 0, fd);
		return;
	}
	log_warn("MGR: the configuration cannot be kept (%s): a restart with "
	    "an error in it would end all calls", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* The string at *at, and *at behind it; NULL: there is none. */
static char *
next_string(char **at, const char *end)
{
	char *text = *at, *nul = memchr(text, '\0', (size_t)(end - text));

	if (!nul)
		return NULL;
	*at = nul + 1;
	return text;
}

static bool
parse(struct conf *conf, char *at, const char *end)
{
	char *magic = next_string(&at, end), *file, *word;
	char name[] = "pptpd", *argv[WORDS_MAX + 1] = { name };
	enum conf_action action;
	const char *text;
	int argc = 1;

	if (!magic || strcmp(magic, MAGIC) != 0 ||
	    !(file = next_string(&at, end)))
		return false;
	while ((word = next_string(&at, end)) && strcmp(word, LAST_WORD) != 0) {
		if (argc == WORDS_MAX)
			return false;
		argv[argc++] = word;
	}
	if (!word || !conf_argv(conf, argc, argv, NULL, NULL, &action,
	    &text) || action != CONF_RUN)
		return false;
	free(conf->file);
	conf->file = strdup(file);
	return conf->file && conf_parse(conf, conf->file, at,
	    (size_t)(end - at), NULL, NULL);
}

bool
lastgood_load(struct conf *conf)
{
	int fd = store_take(STORE_CONF, 0);
	bool ok = false;
	char *bytes;
	size_t len;

	conf_init(conf);
	/* Who read it before has the same position in it. */
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return false;
	bytes = conf_read(fd, &len);
	if (bytes)
		ok = parse(conf, bytes, bytes + len);
	free(bytes);
	conf->last_good = ok;
	return ok;
}
