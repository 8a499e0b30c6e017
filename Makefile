# pptpctrl: a PPTP server that replaces PoPToP.  See README.md.
#
#	make			build into $(B)
#	make install DESTDIR=	programs, plugin, manual pages, samples, units
#	make deb		a Debian package, in $(B)/deb
#	make demo		show the main job in the lab
#	make check		all tests
#	make soak		long scenarios of the lab (hours)
#	make many-calls		1,000 calls and a cut link, in one guest
#	make bench [QUICK=1]	measure speed in the lab: tests/bench/README.md
#	make offload-check	the fast path under QEMU
#	make unit | lint | fuzz FUZZ_TIME=seconds | coverage | mutants

VERSION	= 0.1.0
B	= build
T	= $(B)/test
CC	= cc
V	=

prefix		= /usr
sbindir		= $(prefix)/sbin
mandir		= $(prefix)/share/man
sysconfdir	= /etc
unitdir		= $(prefix)/lib/systemd/system
generatordir	= $(prefix)/lib/systemd/system-generators
sysusersdir	= $(prefix)/lib/sysusers.d
tmpfilesdir	= $(prefix)/lib/tmpfiles.d
modulesdir	= $(prefix)/lib/modules-load.d
exampledir	= $(prefix)/share/doc/pptpctrl/examples
# For /etc/init.d/pptpd, where that is wanted (initdir=/etc/init.d): none.
initdir		=

# Options files may name PoPToP's plugin; ours has its options.
LOGWTMP		= $(prefix)/lib/pptpd/pptpd-logwtmp.so

PKG	= libsystemd libseccomp libcap-ng json-c libbpf

# pppd 2.5 has a pkg-config file, 2.4 only its headers.  PPPD_INCLUDE names
# the folder that has pppd/pppd.h when that is not a system one.
PPPD_INCLUDE	= $(shell pkg-config --variable=includedir pppd 2>/dev/null || echo /usr/include)
PPPD_VERSION	= $(shell pkg-config --modversion pppd 2>/dev/null || \
	sed -n 's/^\#define[ \t]*VERSION[ \t]*"\(.*\)"/\1/p' $(PPPD_INCLUDE)/pppd/patchlevel.h)
PPPD_PLUGINDIR	= $(shell pkg-config --variable=plugindir pppd 2>/dev/null || \
	echo $(prefix)/lib/pppd/$(PPPD_VERSION))

WARN	= -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	  -Wmissing-prototypes -Wswitch-enum -Wvla -Wcast-qual -Wundef
WARN_PURE = $(WARN) -Wconversion
# The relay's fast path; v3 has compare and exchange (Linux 5.12).
CLANG	= clang
BPF_CFLAGS = -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Ipptpctrl \
	  -idirafter /usr/include/$(shell $(CC) -print-multiarch)

OPT	= -O2 -g
HARDEN	= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS	= $(OPT) $(HARDEN)
LDFLAGS	= -pie -Wl,-z,relro,-z,now

ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' \
	  -DPPPD_PLUGINDIR='"$(PPPD_PLUGINDIR)"' -DPPPD_VERSION='"$(PPPD_VERSION)"' $(OFFLOAD) \
	  -I. -Ipptpctrl $(WARN) $(CFLAGS) -MMD -MP
LIBS	= $(shell pkg-config --libs $(PKG))
INCS	= $(shell pkg-config --cflags $(PKG))

ifeq ($(V),)
Q = @
msg = @echo "  $(1)	$(2)";
else
msg =
endif

PROTO	= $(wildcard pptpctrl/proto/*.c)
SRC	= $(wildcard pptpctrl/*.c) $(PROTO) $(wildcard pptpctrl/net/*.c) \
	  $(wildcard pptpctrl/priv/*.c) $(wildcard pptpctrl/cli/*.c) \
	  plugin/record.c
OBJ	= $(SRC:%.c=$(B)/%.o)

.PHONY: all install uninstall clean unit check demo lint fuzz bench soak \
	coverage mutants many-calls
all: $(B)/pptpctrl.bin $(B)/pptpctrl.so

$(B)/pptpctrl.bin: $(OBJ)
	$(call msg,LD,$@) $(CC) $(LDFLAGS) -o $@ $(OBJ) $(LIBS)

$(B)/offload.bpf.o: pptpctrl/bpf/offload.bpf.c pptpctrl/bpf/offload.h
	$(Q)mkdir -p $(@D)
	$(call msg,BPF,$@) $(CLANG) $(BPF_CFLAGS) -c -o $@ $<

# It carries the programs inside.
$(B)/pptpctrl/priv/offload.o $(T)/pptpctrl/priv/offload.o \
$(B)/fuzz/pptpctrl/priv/offload.o: $(B)/offload.bpf.o
OFFLOAD	= -DOFFLOAD_OBJECT='"$(B)/offload.bpf.o"'

$(B)/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(call msg,CC,$<) $(CC) $(ALL_CFLAGS) $(INCS) -c -o $@ $<

# pppd's own headers decide what the plugin may be compiled as.
$(B)/pptpctrl.so: $(wildcard plugin/*.c plugin/*.h)
	$(Q)mkdir -p $(@D)
	$(call msg,PLUGIN,$@ for pppd $(PPPD_VERSION)) $(CC) -std=gnu11 -D_GNU_SOURCE \
	    $(OPT) -Wall -Wextra -fPIC -isystem $(PPPD_INCLUDE) -I. -shared \
	    -Wl,-z,relro,-z,now -o $@ $(wildcard plugin/*.c)

-include $(OBJ:.o=.d)

# The load generator: a client of its own making, from no source of ours but
# its own.
LOAD_SRC = $(wildcard tests/bench/pptpload/*.c)
$(B)/pptpload: $(LOAD_SRC) $(wildcard tests/bench/pptpload/*.h)
	$(Q)mkdir -p $(@D)
	$(call msg,LD,$@) $(CC) -std=c11 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(LDFLAGS) \
	    -o $@ $(LOAD_SRC) -lcrypto

# What guests of the lab have besides the product.
.PHONY: install-lab
install-lab: $(B)/pptpload $(B)/pptpd-hostile $(B)/offload-run
	$(INSTALL) -d $(DESTDIR)$(prefix)/lib/lab
	$(INSTALL) -m 0755 $(B)/pptpload $(B)/pptpd-hostile \
	    $(B)/offload-run $(DESTDIR)$(prefix)/lib/lab/

# The fast path's programs in a kernel, packet by packet.
$(B)/offload-run: tests/offload/run.c $(B)/offload.bpf.o
	$(call msg,LD,$@) $(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LIBS)

# The server with hostile code in its worker: adopt.c tells it where the
# worker's table is.
HOSTILE	= $(B)/tests/escape/hostile.o $(B)/tests/escape/adopt.o
$(B)/tests/escape/adopt.o: pptpctrl/net/adopt.c
	$(Q)mkdir -p $(@D)
	$(call msg,CC,$@) $(CC) $(ALL_CFLAGS) $(INCS) \
	    -Dstate_set_complete=hostile_table -c -o $@ $<

$(B)/pptpd-hostile: $(OBJ) $(HOSTILE)
	$(call msg,LD,$@) $(CC) $(LDFLAGS) -o $@ \
	    $(filter-out $(B)/pptpctrl/net/adopt.o,$(OBJ)) $(HOSTILE) $(LIBS)

-include $(HOSTILE:.o=.d)

# Servers to upgrade to: one whose tables have more fields, one whose tables
# have other fields.
.PHONY: other-tables
other-tables: $(B)/pptpctrl-newer $(B)/pptpctrl-other

TABLES	= pptpctrl/net/adopt.c pptpctrl/priv/saved.c
$(B)/pptpctrl-newer: VERSIONS = -DADOPT_MINOR=99u -DSAVED_MINOR=99u
$(B)/pptpctrl-other: VERSIONS = -DADOPT_MAJOR=99u -DSAVED_MAJOR=99u
$(B)/pptpctrl-newer $(B)/pptpctrl-other: $(OBJ)
	$(call msg,LD,$@) $(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) $(INCS) \
	    $(VERSIONS) $(LDFLAGS) -o $@ $(TABLES) \
	    $(filter-out $(TABLES:%.c=$(B)/%.o),$(OBJ)) $(LIBS)

# --- tests --------------------------------------------------------------
# Unit tests, replays and fuzz corpora always run under the sanitizers.
SAN	= -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	  -fno-omit-frame-pointer
TEST_CFLAGS = -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' \
	  -DPPPD_PLUGINDIR='"$(PPPD_PLUGINDIR)"' -DPPPD_VERSION='"$(PPPD_VERSION)"' $(OFFLOAD) \
	  -I. -Ipptpctrl -Itests $(WARN) $(SAN) -MMD -MP $(INCS)
T_OBJ	= $(patsubst %.c,$(T)/%.o,$(filter-out pptpctrl/main.c,$(SRC)))
UNIT	= $(patsubst tests/%.c,$(T)/%,$(wildcard tests/unit/test_*.c) \
	  $(wildcard tests/replay/replay.c))
FUZZ	= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_TIME = 60

$(T)/pptpctrl/%.o: pptpctrl/%.c
	$(Q)mkdir -p $(@D)
	$(call msg,CC,$< (sanitized)) $(CC) $(TEST_CFLAGS) -c -o $@ $<

$(T)/plugin/%.o: plugin/%.c
	$(Q)mkdir -p $(@D)
	$(call msg,CC,$< (sanitized)) $(CC) $(TEST_CFLAGS) -c -o $@ $<

# An archive: each test links what it uses and no more.
$(T)/all.a: $(T_OBJ)
	$(Q)rm -f $@
	$(call msg,AR,$@) $(AR) rc $@ $(T_OBJ)

$(UNIT): $(T)/%: tests/%.c $(T)/all.a
	$(Q)mkdir -p $(@D)
	$(call msg,TEST,$@) $(CC) $(TEST_CFLAGS) -o $@ $< $(T)/all.a -lcmocka $(LIBS)

$(FUZZ:%=$(T)/fuzz/%): $(T)/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/corpus.c $(T)/all.a
	$(Q)mkdir -p $(@D)
	$(call msg,CORPUS,$@) $(CC) $(TEST_CFLAGS) -o $@ $< tests/fuzz/corpus.c \
	    $(T)/all.a $(LIBS)

$(T)/conf-dump: tests/conf/dump.c $(T)/all.a
	$(Q)mkdir -p $(@D)
	$(call msg,TEST,$@) $(CC) $(TEST_CFLAGS) -Itests/conf -o $@ $< $(T)/all.a $(LIBS)

unit-programs: $(UNIT) $(FUZZ:%=$(T)/fuzz/%) $(T)/conf-dump
.PHONY: unit-programs

# Without the lab: seconds, no rights.
unit:
	$(Q)tests/check unit B=$(B)

# Needs clang and its runtime (Debian: clang, libclang-rt-14-dev).
FUZZ_CC	= clang -std=c11 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' \
	  -DPPPD_PLUGINDIR='"$(PPPD_PLUGINDIR)"' -DPPPD_VERSION='"$(PPPD_VERSION)"' $(OFFLOAD) \
	  -g -O1 -I. -Ipptpctrl -Itests -MMD -MP $(INCS) -fno-sanitize-recover=all
F_OBJ	= $(patsubst %.c,$(B)/fuzz/%.o,$(filter-out pptpctrl/main.c,$(SRC)))
-include $(F_OBJ:.o=.d)

$(F_OBJ): $(B)/fuzz/%.o: %.c
	$(Q)mkdir -p $(@D)
	$(call msg,CC,$< (fuzzed)) $(FUZZ_CC) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<

$(B)/fuzz/all.a: $(F_OBJ)
	$(Q)rm -f $@
	$(call msg,AR,$@) $(AR) rc $@ $(F_OBJ)

fuzz: $(FUZZ:%=fuzz-%)
fuzz-%: tests/fuzz/fuzz_%.c $(B)/fuzz/all.a
	$(Q)mkdir -p $(B)/fuzz/new-$* tests/fuzz/corpus/$*
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $(B)/fuzz/$* $< $(B)/fuzz/all.a $(LIBS)
	$(Q)echo "$*:"; $(B)/fuzz/$* -max_total_time=$(FUZZ_TIME) -close_fd_mask=1 \
	    -print_final_stats=1 -artifact_prefix=$(B)/fuzz/ $(B)/fuzz/new-$* tests/fuzz/corpus/$* \
	    >$(B)/fuzz/$*.log 2>&1 || { tail -40 $(B)/fuzz/$*.log; exit 1; }
	$(Q)grep number_of_executed_units $(B)/fuzz/$*.log

# Lines that unit tests, replays and corpora reach, by file.
coverage:
	$(Q)tests/coverage B=$(B)

# Changes to proto/ that the tests must notice: MUTANTS=count or all.
MUTANTS	= 400
mutants:
	$(Q)tests/mutants B=$(B) $(MUTANTS)

# Includes point one way, proto/ is pure, nothing warns.
lint:
	$(Q)tests/lint $(CC)

check:
	$(Q)tests/check all B=$(B)

# What takes too long for check: SOAK="--release 12 NAME..." for some of it.
# The fast path on a stock kernel with two CPUs, under QEMU: half an hour.
OFFLOAD_CHECK = offload fast relay/login relay/jitter relay/bad-path \
	  relay/plaintext relay/far-ahead relay/worker-killed relay/successor
offload-check:
	$(Q)tests/lab/lab run --backend qemu $(OFFLOAD_CHECK)
.PHONY: offload-check

soak:
	$(Q)tests/lab/lab soak $(SOAK)

# tests/wire/RESULTS.md: the wire suite against this server and PoPToP.
wire-results:
	$(Q)tests/lab/lab run wire/compare
	$(Q)cp build/lab/12/wire/compare/RESULTS.md tests/wire/RESULTS.md
.PHONY: wire-results

demo:
	$(Q)tests/demo

# 1,000 calls in one guest, which needs more memory than the others.
many-calls:
	$(Q)LAB_MEMORY=3072M tests/lab/lab run load/thousand-calls

# Speed, in guests of the lab.  QUICK=1: some minutes; BENCH="--backend uml".
bench:
	$(Q)tests/bench/bench $(if $(QUICK),--quick) $(BENCH)

-include $(wildcard $(T)/pptpctrl/*.d $(T)/pptpctrl/*/*.d $(T)/unit/*.d)

# From systemd 253 on a reload is over when the server says so.
NOTIFY_RELOAD = $(shell pkg-config --atleast-version=253 libsystemd && \
	echo -e 's/^Type=notify$$/Type=notify-reload/' -e /^ExecReload=/d)
SED_PATHS = sed -e 's,@sbindir@,$(sbindir),g' -e 's,@sysconfdir@,$(sysconfdir),g' $(NOTIFY_RELOAD)
INSTALL	= install
UNITS	= pptpd.socket pptpd-admin.socket pptpd.service

# Samples go beside the documentation and, only where there is none yet, to
# their places: an administrator's files are never touched.
install: all
	$(INSTALL) -d $(DESTDIR)$(sbindir) $(DESTDIR)$(PPPD_PLUGINDIR) \
	    $(DESTDIR)$(dir $(LOGWTMP)) \
	    $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man7 \
	    $(DESTDIR)$(mandir)/man8 \
	    $(DESTDIR)$(sysconfdir)/ppp $(DESTDIR)$(unitdir) \
	    $(DESTDIR)$(generatordir) \
	    $(DESTDIR)$(sysusersdir) $(DESTDIR)$(tmpfilesdir) \
	    $(DESTDIR)$(modulesdir) $(DESTDIR)$(exampledir)
	$(INSTALL) -m 0755 $(B)/pptpctrl.bin $(DESTDIR)$(sbindir)/pptpctrl
	ln -sf pptpctrl $(DESTDIR)$(sbindir)/pptpd
	$(INSTALL) -m 0644 $(B)/pptpctrl.so $(DESTDIR)$(PPPD_PLUGINDIR)/
	ln -sf $(PPPD_PLUGINDIR)/pptpctrl.so $(DESTDIR)$(LOGWTMP)
	$(INSTALL) -m 0644 $(wildcard etc/*.5) $(DESTDIR)$(mandir)/man5/
	$(INSTALL) -m 0644 $(wildcard etc/*.7) $(DESTDIR)$(mandir)/man7/
	$(INSTALL) -m 0644 $(wildcard etc/*.8) $(DESTDIR)$(mandir)/man8/
	$(INSTALL) -m 0644 etc/pptpd.conf etc/options.pptpd \
	    $(DESTDIR)$(exampledir)/
	test -e $(DESTDIR)$(sysconfdir)/pptpd.conf || \
	    $(INSTALL) -m 0644 etc/pptpd.conf $(DESTDIR)$(sysconfdir)/
	test -e $(DESTDIR)$(sysconfdir)/ppp/options.pptpd || \
	    $(INSTALL) -m 0644 etc/options.pptpd $(DESTDIR)$(sysconfdir)/ppp/
	for u in $(UNITS); do \
	    $(SED_PATHS) etc/$$u > $(DESTDIR)$(unitdir)/$$u && \
	    chmod 0644 $(DESTDIR)$(unitdir)/$$u || exit 1; done
	ln -sf $(sbindir)/pptpctrl $(DESTDIR)$(generatordir)/pptpd-generator
	$(INSTALL) -m 0644 etc/pptpd.sysusers $(DESTDIR)$(sysusersdir)/pptpctrl.conf
	$(INSTALL) -m 0644 etc/pptpd.tmpfiles $(DESTDIR)$(tmpfilesdir)/pptpctrl.conf
	$(INSTALL) -m 0644 etc/pptpd.modules-load $(DESTDIR)$(modulesdir)/pptpctrl.conf
ifneq ($(initdir),)
	$(INSTALL) -d $(DESTDIR)$(initdir)
	$(SED_PATHS) etc/pptpd.init > $(DESTDIR)$(initdir)/pptpd
	chmod 0755 $(DESTDIR)$(initdir)/pptpd
endif

# Configuration stays, as with any package that is removed.
uninstall:
	rm -f $(DESTDIR)$(sbindir)/pptpctrl $(DESTDIR)$(sbindir)/pptpd \
	    $(DESTDIR)$(PPPD_PLUGINDIR)/pptpctrl.so $(DESTDIR)$(LOGWTMP) \
	    $(patsubst etc/%,$(DESTDIR)$(mandir)/man5/%,$(wildcard etc/*.5)) \
	    $(patsubst etc/%,$(DESTDIR)$(mandir)/man7/%,$(wildcard etc/*.7)) \
	    $(patsubst etc/%,$(DESTDIR)$(mandir)/man8/%,$(wildcard etc/*.8)) \
	    $(UNITS:%=$(DESTDIR)$(unitdir)/%) \
	    $(DESTDIR)$(generatordir)/pptpd-generator \
	    $(DESTDIR)$(sysusersdir)/pptpctrl.conf \
	    $(DESTDIR)$(tmpfilesdir)/pptpctrl.conf \
	    $(DESTDIR)$(modulesdir)/pptpctrl.conf \
	    $(if $(initdir),$(DESTDIR)$(initdir)/pptpd)
	rm -rf $(DESTDIR)$(exampledir)
	-rmdir $(DESTDIR)$(dir $(LOGWTMP)) 2>/dev/null

# dpkg-buildpackage wants debian/ at the top.  DEB_FLAGS=-d builds without
# package ppp-dev, when PPPD_INCLUDE names its headers.
DEB	= $(B)/deb/pptpctrl-$(VERSION)
DEB_FLAGS =
deb:
	rm -rf $(DEB)
	mkdir -p $(DEB)
	cp -a Makefile README.md COPYING pptpctrl plugin etc contrib $(DEB)/
	cp -a contrib/debian $(DEB)/
	cd $(DEB) && dpkg-buildpackage -b -us -uc $(DEB_FLAGS)
	rm -rf $(DEB)

lintian:
	lintian --fail-on error,warning $(B)/deb/*.changes

print-pppd-version:
	@echo $(PPPD_VERSION)
.PHONY: deb lintian print-pppd-version

clean:
	rm -rf $(B)
