/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What pppd is started with. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "priv/pppd.h"

static size_t
count(const struct pppd_args *a, const char *word)
{
	size_t n = 0;

	for (size_t i = 0; a->argv[i]; i++)
		n += strcmp(a->argv[i], word) == 0;
	return n;
}

static size_t
length(const struct pppd_args *a)
{
	size_t n = 0;

	while (a->argv[n])
		n++;
	return n;
}

/* Words, lines and quotes in a value make no options of pppd's. */
static void
r18_a_value_of_the_configuration_is_one_argument(void **state)
{
	static char plain[] = "/etc/ppp/options.pptpd", speed[] = "115200";
	static char odd[] = "/etc/ppp/x noauth\nnoauth \"nodetach\"\t+ua";
	static char odd_speed[] = "115200 noauth";
	const struct in_addr local = { htonl(0xc0a80001) };
	const struct in_addr remote = { htonl(0xc0a80101) };
	const struct in_addr client = { htonl(0xc6120101) };
	struct conf conf = { .ppp = plain, .option = plain, .speed = speed };
	struct pppd_args a, b;

	(void)state;
	pppd_args(&a, &conf, local, remote, client, false);
	conf.option = odd;
	conf.speed = odd_speed;
	pppd_args(&b, &conf, local, remote, client, false);
	assert_int_equal(length(&a), length(&b));
	assert_int_equal(count(&b, odd), 1);
	assert_int_equal(count(&b, odd_speed), 1);
	assert_int_equal(count(&b, "noauth"), 0);
	assert_int_equal(count(&b, "192.168.0.1:192.168.1.1"), 1);
	for (size_t i = 0; a.argv[i]; i++)
		if (strcmp(a.argv[i], plain) != 0 &&
		    strcmp(a.argv[i], speed) != 0)
			assert_string_equal(a.argv[i], b.argv[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    r18_a_value_of_the_configuration_is_one_argument),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
