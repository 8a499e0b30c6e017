/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of pppd's tty channel, accepted and ignored.
 *
 * pppd looks only into the tables of the channel in use.  Options files
 * written for PoPToP have "lock" or "nocrtscts" in them, Debian's
 * /etc/ppp/options has "modem"; once our channel is chosen, each would be an
 * unrecognized option and the end of every login.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "plugin.h"

static int
ignore(char **argv)
{
	(void)argv;
	return 1;
}

/*
 * A tty's name, as pppd understands it.  doit is 0 when pppd only asks
 * whether the word could be one.
 */
static int
ignore_device(char *word, char **argv, int doit)
{
	struct stat st;
	char path[MAXWORDLEN + sizeof("/dev/")] = "";

	(void)argv;
	(void)doit;
	if (word[0] != '/')
		strlcpy(path, "/dev/", sizeof(path));
	strlcat(path, word, sizeof(path));
	return stat(path, &st) == 0 && S_ISCHR(st.st_mode);
}

/*
 * A tty's speed: the bare 115200 of PoPToP's command line.  Kept, because
 * ip-up has always got it as its third argument.
 */
static int
keep_speed(char *word, char **argv, int doit)
{
	char *end;
	long speed = strtol(word, &end, 0);

	(void)argv;
	if (end == word || *end != '\0' || speed == 0)
		return 0;
	if (doit)
		inspeed = (int)speed;
	return 1;
}

#define FLAG(n) \
	{ .name = (n), .type = o_special_noarg, .addr = (void *)ignore, \
	  .description = "(ignored: not a serial line)", \
	  .flags = OPT_NOPRINT }
#define VALUE(n) \
	{ .name = (n), .type = o_special, .addr = (void *)ignore, \
	  .description = "(ignored: not a serial line)", \
	  .flags = OPT_NOPRINT }
#define WORD(n, f) \
	{ .name = (n), .type = o_wild, .addr = (void *)(f), \
	  .description = "(ignored: not a serial line)", \
	  .flags = OPT_NOPRINT | OPT_NOARG }

option_t pptp_tty_options[] = {
	WORD("device name", ignore_device),
	WORD("tty speed", keep_speed),
	FLAG("lock"),
	FLAG("nolock"),
	VALUE("init"),
	VALUE("connect"),
	VALUE("disconnect"),
	VALUE("welcome"),
	VALUE("pty"),
	FLAG("notty"),
	VALUE("socket"),
	VALUE("record"),
	FLAG("crtscts"),
	FLAG("cdtrcts"),
	FLAG("nocrtscts"),
	FLAG("-crtscts"),
	FLAG("nocdtrcts"),
	FLAG("xonxoff"),
	VALUE("stop-bits"),
	FLAG("modem"),
	FLAG("local"),
	FLAG("sync"),
	VALUE("datarate"),
	VALUE("escape"),
	{ .name = NULL }
};
