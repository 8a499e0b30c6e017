/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "priv/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define PREFIX		'+'	/* no unit's name begins so */
#define NAME_MAX_LEN	16
#define OTHERS_MAX	64
#define OTHER_LEN	40
#define FDS_ENV		"PPTPCTRL_FDS"	/* from store_exec */

static const char letter[STORE_KINDS + 1] = "awkrglcshpteof";

/* By kind: an array of STORE_NUMBERS made when it is first needed; an entry
 * is a descriptor, or 0, from end on there are none. */
static struct names {
	int *fd;
	uint32_t end;
} held[STORE_KINDS], given[STORE_KINDS];

static int
get(const struct names *table, uint32_t n)
{
	return n < table->end ? table->fd[n] : 0;
}
static int other[OTHERS_MAX];
static char other_name[OTHERS_MAX][OTHER_LEN];
static int n_other;
static bool inherited;
static bool to_systemd;

static void
name_of(enum store_kind kind, uint32_t n, char name[NAME_MAX_LEN])
{
	snprintf(name, NAME_MAX_LEN, "%c%c%x", PREFIX, letter[kind], n);
}

static bool
parse(const char *name, enum store_kind *ret_kind, uint32_t *ret_n)
{
	const char *at;
	char *end;
	unsigned long n;

	if (name[0] != PREFIX || name[1] == '\0')
		return false;
	at = strchr(letter, name[1]);
	if (!at || name[2] == '\0')
		return false;
	n = strtoul(name + 2, &end, 16);
	if (*end != '\0' || n >= STORE_NUMBERS)
		return false;
	*ret_kind = (enum store_kind)(at - letter);
	*ret_n = (uint32_t)n;
	return true;
}

static bool
set(struct names *table, uint32_t n, int fd)
{
	if (n >= STORE_NUMBERS)
		return false;
	if (!table->fd)
		table->fd = calloc(STORE_NUMBERS, sizeof(*table->fd));
	if (!table->fd)
		return false;
	table->fd[n] = fd;
	if (table->end <= n)
		table->end = n + 1;
	return true;
}

static void
tell_removed(const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	if (to_systemd)
		sd_notify(0, text);
}

static void
take_in(int fd, const char *name)
{
	enum store_kind kind;
	uint32_t n;

	if (!parse(name, &kind, &n)) {
		if (name[0] == PREFIX || n_other == OTHERS_MAX) {
			tell_removed(name);
			close(fd);
			return;
		}
		other[n_other] = fd;
		snprintf(other_name[n_other++], OTHER_LEN, "%s", name);
		return;
	}
	if (get(&given[kind], n) > 0)
		close(get(&given[kind], n));
	if (!set(&given[kind], n, fd))
		close(fd);
	inherited |= kind == STORE_CALLS;
}

int
store_others(int *ret, const char **ret_name, int max)
{
	for (int i = 0; i < n_other && i < max; i++) {
		ret[i] = other[i];
		ret_name[i] = other_name[i];
	}
	return n_other;
}

bool
store_inherited(void)
{
	return inherited;
}

bool
store_is_kept(void)
{
	return to_systemd;
}

int
store_take(enum store_kind kind, uint32_t n)
{
	int fd = get(&given[kind], n);

	if (fd <= 0)
		return -1;
	given[kind].fd[n] = 0;
	set(&held[kind], n, fd);
	return fd;
}

long
store_last(enum store_kind kind)
{
	for (long n = (long)given[kind].end - 1; n >= 0; n--)
		if (given[kind].fd[n] > 0)
			return n;
	return -1;
}

static void
drop_given(enum store_kind kind, uint32_t n)
{
	char name[NAME_MAX_LEN];

	if (get(&given[kind], n) <= 0)
		return;
	name_of(kind, n, name);
	tell_removed(name);
	close(given[kind].fd[n]);
	given[kind].fd[n] = 0;
}

void
store_drop_rest(void)
{
	for (unsigned k = 0; k < STORE_KINDS; k++) {
		for (uint32_t n = 0; n < given[k].end; n++)
			drop_given((enum store_kind)k, n);
		free(given[k].fd);
		given[k] = (struct names){ 0 };
	}
}

void
store_put(enum store_kind kind, uint32_t n, int fd)
{
	char name[NAME_MAX_LEN], text[64];

	if (n >= STORE_NUMBERS)
		return;
	if (get(&held[kind], n) == fd)
		return;
	/* Names are told apart by nothing else: what comes later stays. */
	drop_given(kind, n);
	store_remove(kind, n);
	if (!set(&held[kind], n, fd) || !to_systemd)
		return;
	name_of(kind, n, name);
	/* Polled, systemd would drop it at an ICMP error or a hang-up. */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void
store_remove(enum store_kind kind, uint32_t n)
{
	char name[NAME_MAX_LEN];

	if (get(&held[kind], n) <= 0)
		return;
	held[kind].fd[n] = 0;
	name_of(kind, n, name);
	tell_removed(name);
}

void
store_empty(void)
{
	for (unsigned k = 0; k < STORE_KINDS; k++)
		for (uint32_t n = 0; n < held[k].end; n++)
			store_remove((enum store_kind)k, n);
}

/* --- through execve ----------------------------------------------------- */

/* "5=+s1a2b:6=+k0": descriptors stay where they are, as many as they are, so
 * that nothing has happened when execve fails. */
struct list {
	char *text;
	size_t len, size;
	int *fd;		/* without close-on-exec now */
	size_t n;
};

static bool
grow(struct list *l)
{
	if (l->size - l->len < 64 || !l->text) {
		char *more = realloc(l->text, l->size + 4096);

		if (!more)
			return false;
		l->text = more;
		l->size += 4096;
	}
	if (l->n % 64 == 0) {
		int *more = realloc(l->fd, (l->n + 64) * sizeof(*more));

		if (!more)
			return false;
		l->fd = more;
	}
	return true;
}

static bool
add(struct list *l, int fd, const char *name)
{
	if (strlen(name) > 40 || !grow(l) || fcntl(fd, F_SETFD, 0) < 0)
		return false;
	l->fd[l->n++] = fd;
	l->len += (size_t)sprintf(l->text + l->len, "%s%d=%s",
	    l->len > 0 ? ":" : "", fd, name);
	return true;
}

static bool
collect(struct list *l)
{
	char name[NAME_MAX_LEN];

	for (int i = 0; i < n_other; i++)
		if (!add(l, other[i], other_name[i]))
			return false;
	for (unsigned k = 0; k < STORE_KINDS; k++)
		for (uint32_t n = 0; n < held[k].end; n++) {
			if (held[k].fd[n] <= 0)
				continue;
			name_of((enum store_kind)k, n, name);
			if (!add(l, held[k].fd[n], name))
				return false;
		}
	return true;
}

void
store_exec(const char *path, char **argv)
{
	struct list l = { 0 };
	int saved;

	if (collect(&l) && setenv(FDS_ENV, l.text ? l.text : "", 1) == 0)
		execv(path, argv);
	saved = errno;
	unsetenv(FDS_ENV);
	for (size_t i = 0; i < l.n; i++)
		(void)fcntl(l.fd[i], F_SETFD, FD_CLOEXEC);
	free(l.fd);
	free(l.text);
	errno = saved;
}

static void
take_in_list(char *text)
{
	char *at, *name;

	for (at = strtok(text, ":"); at; at = strtok(NULL, ":")) {
		int fd = (int)strtol(at, &name, 10);

		if (fd <= 2 || *name != '=' || fcntl(fd, F_SETFD,
		    FD_CLOEXEC) < 0)
			continue;
		take_in(fd, name + 1);
	}
}

int
store_init(void)
{
	char **names = NULL, *list = getenv(FDS_ENV);
	int n = sd_listen_fds_with_names(1, &names);

	to_systemd = getenv("NOTIFY_SOCKET") != NULL;
	if (n < 0) {
		errno = -n;
		return -1;
	}
	for (int i = 0; i < n; i++) {
		take_in(SD_LISTEN_FDS_START + i, names[i]);
		free(names[i]);
	}
	free(names);
	if (list) {
		list = strdup(list);
		unsetenv(FDS_ENV);
		if (list)
			take_in_list(list);
		free(list);
	}
	return 0;
}
