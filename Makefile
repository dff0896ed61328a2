# SPDX-License-Identifier: Apache-2.0
#
#   make               build/canaryctl and build/canaryd
#   make demo          what it does, with real HTTP, in network namespaces (root)
#   make demo-rollout  two rollouts that run themselves, a good one and a bad one (root)
#   make test          unit, bpf and end-to-end tests (root)
#   make fuzz          the fuzzers, FUZZ_TIME=60 seconds each: FUZZ='packet api' for some
#   make test-kernels  the bpf tests and traffic on this kernel and, in emulated machines, on Debian's 6.1 and 6.12 (root; about
#                      an hour): KERNELS=6.1 for one of them (here: this one), PARTS=load for less, see scripts/vm-test
#   make bench         ns per packet, beside floors, with observing off (root; ten minutes): BENCH='ipip v4 ack' for some rows,
#                      BENCH=--help for more. Also writes $(BUILD)/bench.json and a picture, $(BUILD)/bench.svg
#   make bench-full    the same of all rows, in runs of five million packets (two hours)
#   make bench-peers   packets and new connections per second beside nftables' DNAT, HAProxy and plain forwarding (root; four
#                      minutes): PEERS=packets or connections for one of the two. Also writes $(BUILD)/bench-peers.json
#   make bench-control what commands cost with a thousand services, and how large program and maps are (root; a minute)
#   make bench-fleet   what a fleet costs etcd and its leader, up to 1,000 hosts and 10,000 services (seconds)
#   make bench-scrape  what scraping the metrics costs packets: nothing that is seen (root; two minutes)
#   make sim           the simulations of the analysis, in full: tables, some minutes
#   make check         style, static analysis, include rules
#   make install       programs, man pages, completion, units, rules for Prometheus, a dashboard for Grafana and an example of
#                      a configuration, to PREFIX (/usr/local), sysconfdir (/etc) and unitdir, below DESTDIR; make uninstall takes
#                      them away again, but the configuration
#   make deb           a Debian package, in $(BUILD)/deb; make test-package installs, upgrades and removes it on a clean Debian root
#
# Everything that is made goes to $(BUILD). Knobs: BUILD=DIR, BPF_CLANG=clang-19, SANITIZE=address,undefined, V=1 (shows
# the commands).

VERSION := 0.1.0
BUILD ?= build
CC = gcc
BPF_CLANG ?= clang
BPFTOOL ?= $(or $(shell command -v bpftool),/usr/sbin/bpftool)
BPF_ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(shell uname -m)))
# The second compiler that the kernel programs are built and tested with.
OTHER_CLANG ?= clang-19

CPPFLAGS = -D_GNU_SOURCE -DCANARY_VERSION='"$(VERSION)"' -Iinclude -Iuser -I$(BUILD)/bpf
CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror
LDFLAGS = -Wl,--as-needed
LDLIBS = -lxdp -lbpf -lelf -lz -lcyaml -lyaml -ljansson -lmnl -lm
DAEMON_LDLIBS = -lsqlite3 -lmicrohttpd -lcurl -lsystemd -lcap-ng -lseccomp
BPF_CFLAGS = -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Werror -Iinclude -Ibpf -I$(BUILD)/bpf
ifdef SANITIZE
CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
else
CFLAGS += -D_FORTIFY_SOURCE=2 -fstack-protector-strong
endif

ifeq ($(V),1)
say = @:
else
say = @printf '  %-5s %s\n' $(1) $@
Q = @
endif
MAKEFLAGS += --no-print-directory

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)))

CORE := $(call objects,user/core/*.c)
# What canaryd alone links: the libraries behind it would cost every command several milliseconds.
DAEMON_IO_NAMES := answer command descriptors etcd health history http_ privileges prometheus secret_file system_calls watch webhook
DAEMON_IO := $(call objects,$(patsubst %,user/io/%*.c,$(DAEMON_IO_NAMES)))
IO := $(filter-out $(DAEMON_IO),$(call objects,user/io/*.c))
DATAPLANE := $(call objects,user/dataplane/*.c)
OPS := $(call objects,user/ops/*.c)
CLI := $(call objects,user/cli/*.c)
DAEMON := $(call objects,user/daemon/*.c)
SKELETONS := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.skel.h,$(wildcard bpf/*.bpf.c))

UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
DAEMON_UNIT_TESTS := $(filter $(patsubst %,$(BUILD)/tests/unit/test_%%,$(DAEMON_IO_NAMES)),$(UNIT_TESTS))
DAEMON_UNIT_LIB := $(call objects,$(patsubst %,tests/unit/lib_%*.c,etcd health history http))
UNIT_LIB := $(filter-out $(DAEMON_UNIT_LIB),$(call objects,tests/unit/lib*.c))
MODEL_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/model/test_*.c))
MODEL_LIB := $(filter-out $(MODEL_TESTS:%=%.o),$(call objects,tests/model/*.c))
# Many balancers: the protocol of user/core over the kernel programs compiled for user space.
FLEET_TEST := $(BUILD)/tests/fleet/test_fleet
FLEET_LIB := $(filter-out $(FLEET_TEST).o,$(call objects,tests/fleet/*.c))
BPF_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bpf/test_*.c))
BPF_TEST_LIB := $(call objects,tests/bpf/lib*.c)
BENCH_SKELETONS := $(patsubst %.bpf.c,$(BUILD)/%.skel.h,$(wildcard tests/bench/*.bpf.c))
BENCH_PROGRAM := $(BUILD)/tests/bench/bench
BENCH_LIVE := $(BUILD)/tests/bench/live
BENCH_LIB := $(call objects,$(filter-out $(patsubst %,tests/bench/%.c,main live fleet) %.bpf.c,$(wildcard tests/bench/*.c)))
SIM := $(BUILD)/tests/sim/sim
FLEET_BENCH := $(BUILD)/tests/bench/fleet
# The fuzzers, with what they reach compiled once more for clang's libFuzzer and sanitizers.
FUZZ_CLANG ?= clang-14
FUZZ_TIME ?= 60
FUZZ_CFLAGS = -std=gnu11 -O1 -g -Wall -Wextra -Werror -fno-omit-frame-pointer -fsanitize=address,undefined \
	      -fno-sanitize=alignment -fno-sanitize-recover=all
FUZZ_COVERAGE = -fsanitize=fuzzer-no-link
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz_objects = $(patsubst $(BUILD)/%,$(BUILD)/fuzz/%,$(1))
FUZZ_PACKET_LIB := $(call fuzz_objects,$(filter-out %/checks.o %/model.o %/history.o %/packets.o %/change.o,$(MODEL_LIB)) \
		   $(call objects,$(patsubst %,tests/bpf/lib_%.c,check frame mutate packet traffic) tests/fuzz/packet_world.c))
HELPER_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(filter-out %.bpf.c %.so.c,$(wildcard tests/lib/*.c)))
HELPER_LIBRARIES := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/lib/*.so.c))
HELPER_BPF := $(call objects,tests/lib/*.bpf.c)
USER_OBJECTS := $(CORE) $(IO) $(DAEMON_IO) $(DATAPLANE) $(OPS) $(CLI) $(DAEMON) $(UNIT_LIB) $(DAEMON_UNIT_LIB) $(BPF_TEST_LIB) \
		$(BENCH_LIB) $(BUILD)/tests/bench/main.o $(BENCH_LIVE).o \
		$(MODEL_LIB) $(FLEET_LIB) $(addsuffix .o,$(SIM) $(FLEET_BENCH) $(UNIT_TESTS) $(MODEL_TESTS) $(FLEET_TEST) $(BPF_TESTS) $(HELPER_PROGRAMS))

.PHONY: all bench bench-control bench-fleet bench-full bench-peers bench-scrape demo demo-rollout fuzz sim test test-build test-bpf-build test-kernels test-unit test-bpf test-fuzz test-e2e
.PHONY: check clean fuzzers helpers install uninstall deb test-package
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

all: $(BUILD)/canaryctl $(BUILD)/canaryd

$(BUILD)/canaryctl: $(CORE) $(IO) $(DATAPLANE) $(OPS) $(CLI)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/canaryd: LDLIBS += $(DAEMON_LDLIBS)
# It reads what anybody sends. Commands, which start and end within milliseconds, bind as they go.
$(BUILD)/canaryd: LDFLAGS += -Wl,-z,relro,-z,now
$(BUILD)/canaryd: $(CORE) $(IO) $(DAEMON_IO) $(DATAPLANE) $(OPS) $(DAEMON)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The kernel programs: one skeleton of each bpf/NAME.bpf.c, with the name NAME_bpf.

$(BUILD)/bpf/vmlinux.h:
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c > $@

$(SKELETONS:.skel.h=.unlinked.o): $(BUILD)/bpf/%.unlinked.o: bpf/%.bpf.c $(BUILD)/bpf/vmlinux.h
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(BPF_CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(SKELETONS:.skel.h=.bpf.o): $(BUILD)/bpf/%.bpf.o: $(BUILD)/bpf/%.unlinked.o
	$(call say,GEN)
	$(Q)$(BPFTOOL) gen object $@ $<

$(SKELETONS): $(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,GEN)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(HELPER_BPF) $(BENCH_SKELETONS:.skel.h=.bpf.o): $(BUILD)/%.o: %.c $(BUILD)/bpf/vmlinux.h
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(BPF_CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH_SKELETONS): %.skel.h: %.bpf.o
	$(call say,GEN)
	$(Q)$(BPFTOOL) gen skeleton $< name $(*F)_bpf > $@

# User space.

$(USER_OBJECTS): $(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The dashboard is within its object.
$(BUILD)/user/daemon/page.o $(BUILD)/fuzz/user/daemon/page.o: $(wildcard user/web/*.* user/web/uplot/*)

$(DATAPLANE) $(BPF_TEST_LIB) $(BPF_TESTS:%=%.o): | $(SKELETONS)
$(BENCH_LIB) $(BENCH_LIVE).o: CPPFLAGS += -I$(BUILD)/tests/bench
$(BENCH_LIB) $(BENCH_LIVE).o: | $(SKELETONS) $(BENCH_SKELETONS)

# Tests.

$(UNIT_TESTS): %: %.o $(UNIT_LIB) $(CORE) $(IO)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(SIM).o: CPPFLAGS += -Itests/unit

$(SIM): %: %.o $(BUILD)/tests/unit/lib_sim.o $(BUILD)/tests/unit/lib_random.o $(CORE)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

sim: $(SIM)
	$(SIM)

$(FLEET_BENCH): %: %.o $(CORE)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

bench-fleet: $(FLEET_BENCH)
	$(FLEET_BENCH)

$(DAEMON_UNIT_TESTS): $(DAEMON_IO) $(DAEMON_UNIT_LIB)
$(DAEMON_UNIT_TESTS): LDLIBS += $(DAEMON_LDLIBS)

# What of the daemon is pure.
$(BUILD)/tests/unit/test_measure: $(BUILD)/user/daemon/measure.o $(BUILD)/user/daemon/sample_json.o
$(BUILD)/tests/unit/test_curve: $(BUILD)/user/daemon/curve.o $(BUILD)/user/daemon/measure.o
$(BUILD)/tests/unit/test_words: $(BUILD)/user/daemon/words.o
$(BUILD)/tests/unit/test_mirror: $(BUILD)/user/daemon/fleet_mirror.o

# The kernel programs once more, compiled for user space.
# Their own vmlinux.h: not the one made for the kernel.
$(MODEL_LIB) $(MODEL_TESTS:%=%.o) $(FLEET_LIB) $(FLEET_TEST).o: CPPFLAGS := -Itests/model/kernel -Itests -Ibpf $(filter-out -I$(BUILD)/bpf,$(CPPFLAGS))

$(MODEL_TESTS): %: %.o $(MODEL_LIB)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka -lm

$(FLEET_TEST): %: %.o $(FLEET_LIB) $(patsubst %,$(BUILD)/tests/model/%.o,datapath shim shim_helpers) $(CORE)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka -lm

$(BPF_TESTS): %: %.o $(BPF_TEST_LIB) $(CORE) $(IO) $(DATAPLANE)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka


$(BUILD)/tests/bpf/test_bench $(BUILD)/tests/bpf/test_bench_cost: $(BENCH_LIB)

$(BENCH_PROGRAM): $(BUILD)/tests/bench/main.o
$(BENCH_LIVE): $(BENCH_LIVE).o
$(BENCH_PROGRAM) $(BENCH_LIVE): $(BENCH_LIB) $(BPF_TEST_LIB) $(CORE) $(IO) $(DATAPLANE)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka -lm

$(BUILD)/tests/lib/quicserver: LDLIBS = -lngtcp2 -lngtcp2_crypto_gnutls -lgnutls
$(BUILD)/fuzz/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(FUZZ_CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) $(FUZZ_COVERAGE) -MMD -MP -c -o $@ $<

$(FUZZ_PACKET_LIB) $(BUILD)/fuzz/tests/fuzz/fuzz_packet.o: CPPFLAGS := \
	-Itests/model/kernel -Itests -Ibpf $(filter-out -I$(BUILD)/bpf,$(CPPFLAGS))
# What is looked for is new ways through the program, not through its surroundings.
$(filter-out %/datapath.o,$(FUZZ_PACKET_LIB)): FUZZ_COVERAGE :=
$(BUILD)/fuzz/tests/fuzz/%.o: CPPFLAGS += -Itests
$(call fuzz_objects,$(DATAPLANE)): | $(SKELETONS)

$(FUZZERS): $(BUILD)/%: $(BUILD)/fuzz/%.o $(call fuzz_objects,$(CORE) $(IO))
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(FUZZ_CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/fuzz/fuzz_packet: $(FUZZ_PACKET_LIB)
$(BUILD)/tests/fuzz/fuzz_args: $(call fuzz_objects,$(DATAPLANE) $(OPS) $(filter-out %/main.o,$(CLI)))
$(BUILD)/tests/fuzz/fuzz_api: $(call fuzz_objects,$(DAEMON_IO) $(DATAPLANE) $(OPS) $(filter-out %/main.o,$(DAEMON)))
$(BUILD)/tests/fuzz/fuzz_etcd: $(call fuzz_objects,$(DAEMON_IO))
$(BUILD)/tests/fuzz/fuzz_api $(BUILD)/tests/fuzz/fuzz_etcd: LDLIBS += $(DAEMON_LDLIBS)

$(HELPER_PROGRAMS): %: %.o
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

fuzzers: $(FUZZERS)

$(HELPER_LIBRARIES): $(BUILD)/%: %.c Makefile
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared -MMD -MP -o $@ $<

$(BUILD)/tests/lib/ringtime: $(CORE)

helpers: $(HELPER_PROGRAMS) $(HELPER_LIBRARIES) $(HELPER_BPF)

# What the test of the dashboard takes from npm, by the checksums of its lock file.
WEB_MODULES := $(BUILD)/web/node_modules/.package-lock.json
$(WEB_MODULES): tests/web/package.json tests/web/package-lock.json
	@mkdir -p $(BUILD)/web
	$(call say,NPM)
	$(Q)cp $^ $(BUILD)/web
	$(Q)npm ci --prefix $(BUILD)/web --silent --no-audit --no-fund --ignore-scripts
	@touch $@

test-build: all helpers $(WEB_MODULES) $(BENCH_PROGRAM) $(BENCH_LIVE) $(SIM) $(FLEET_BENCH) $(UNIT_TESTS) $(MODEL_TESTS) $(FLEET_TEST) $(BPF_TESTS)

test-unit: $(UNIT_TESTS) $(MODEL_TESTS) $(FLEET_TEST)
	scripts/run-tests unit $(MODEL_TESTS) $(FLEET_TEST) $(UNIT_TESTS)

# With canaryctl and the helpers, for upgrades from what one compiler made to what the other did, and for scripts/vm-test.
test-bpf-build: $(BPF_TESTS) $(BUILD)/canaryctl helpers

test-bpf: test-bpf-build
	scripts/run-tests bpf $(BPF_TESTS)

test-fuzz: $(FUZZERS)
	scripts/run-tests fuzz $(FUZZERS)

# New inputs and findings are left in $(BUILD)/fuzz: see tests/fuzz/README.md.
fuzz: $(if $(FUZZ),$(FUZZ:%=$(BUILD)/tests/fuzz/fuzz_%),$(FUZZERS))
	FUZZ_TIME=$(FUZZ_TIME) FUZZ_KEEP=$(BUILD)/fuzz scripts/run-tests fuzz $^

test-e2e: all helpers $(BENCH_LIVE) $(WEB_MODULES)
	BUILD=$(BUILD) tests/e2e/run

# The tests of the kernel programs run twice: as built by each of the two compilers. All else is the same with both.
test:
	scripts/deps
	$(MAKE) -j$$(nproc) test-build fuzzers
	$(MAKE) -j$$(nproc) BUILD=$(BUILD)/$(OTHER_CLANG) BPF_CLANG=$(OTHER_CLANG) test-bpf-build
	scripts/run-tests all $(BUILD) $(BUILD)/$(OTHER_CLANG)

test-kernels:
	scripts/deps kernels
	$(MAKE) -j$$(nproc) test-build
	$(MAKE) -j$$(nproc) BUILD=$(BUILD)/$(OTHER_CLANG) BPF_CLANG=$(OTHER_CLANG) test-build
	BUILD=$(BUILD) OTHER_CLANG=$(OTHER_CLANG) scripts/test-kernels $(KERNELS)

# A Debian root is fetched, and boots twice: on a quiet machine a minute.
test-package: all helpers
	E2E_TIMEOUT=900 BUILD=$(BUILD) tests/e2e/run package_debian

check: all
	scripts/check $(BUILD)

BENCH ?= --repeat 1000000 off
bench: $(BENCH_PROGRAM)
	$(BENCH_PROGRAM) --json $(BUILD)/bench.json --plot $(BUILD)/bench.svg $(BENCH)

bench-control: all helpers
	BUILD=$(BUILD) tests/bench/control $(BUILD)/bench-control.json

bench-scrape: all $(BUILD)/tests/lib/packetrun
	BUILD=$(BUILD) tests/bench/scrape $(BUILD)/bench-scrape.json

bench-peers:
	scripts/deps peers
	$(MAKE) -j$$(nproc) all helpers $(BENCH_LIVE)
	BUILD=$(BUILD) tests/bench/peers --json $(BUILD)/bench-peers.json $(PEERS)

bench-full:
	$(MAKE) bench BENCH='--repeat 5000000'

demo:
	scripts/deps
	$(MAKE) -j$$(nproc) all $(BUILD)/tests/lib/xdp_pass.bpf.o
	BUILD=$(BUILD) scripts/demo

demo-rollout:
	scripts/deps
	$(MAKE) -j$$(nproc) all $(BUILD)/tests/lib/viewers $(BUILD)/tests/lib/xdp_pass.bpf.o
	BUILD=$(BUILD) scripts/demo-rollout

# Installing. What the units name is where it is installed to.
PREFIX ?= /usr/local
sysconfdir ?= /etc
bindir ?= $(PREFIX)/bin
sbindir ?= $(PREFIX)/sbin
mandir ?= $(PREFIX)/share/man
unitdir ?= $(PREFIX)/lib/systemd/system
sysusersdir ?= $(PREFIX)/lib/sysusers.d
tmpfilesdir ?= $(PREFIX)/lib/tmpfiles.d
datadir ?= $(PREFIX)/share/canaryctl
bashdir ?= $(PREFIX)/share/bash-completion/completions
zshdir ?= $(PREFIX)/share/zsh/site-functions
MAN_PAGES := $(patsubst user/man/%.scd,$(BUILD)/man/%,$(wildcard user/man/*.scd))
UNITS := $(addprefix $(BUILD)/install/,canaryctl.service canaryd.service)

# SOURCE:TARGET:MODE
INSTALLED = $(BUILD)/canaryctl:$(bindir)/canaryctl:755 $(BUILD)/canaryd:$(sbindir)/canaryd:755 \
	    $(foreach page,$(MAN_PAGES),$(page):$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)):644) \
	    $(foreach unit,$(UNITS),$(unit):$(unitdir)/$(notdir $(unit)):644) \
	    $(foreach file,prometheus/canary.rules.yml grafana/canary.json,scripts/install/$(file):$(datadir)/$(file):644) \
	    scripts/fleet-upgrade:$(datadir)/fleet-upgrade:755 \
	    scripts/install/canary.sysusers:$(sysusersdir)/canary.conf:644 \
	    scripts/install/canary.tmpfiles:$(tmpfilesdir)/canary.conf:644 \
	    scripts/install/canaryctl.bash:$(bashdir)/canaryctl:644 scripts/install/_canaryctl:$(zshdir)/_canaryctl:644
# Never overwritten, and not uninstalled.
CONFIGURATION = scripts/install/canary.yaml:$(sysconfdir)/canary/canary.yaml:644 \
		scripts/install/canaryctl.default:$(sysconfdir)/default/canaryctl:644

$(MAN_PAGES): $(BUILD)/man/%: user/man/%.scd
	@mkdir -p $(@D)
	$(call say,MAN)
	$(Q)scdoc <$< >$@

# Where they name programs and the configuration is known only now.
.PHONY: $(UNITS)
$(UNITS): $(BUILD)/install/%: scripts/install/%
	@mkdir -p $(@D)
	$(Q)sed 's|@bindir@|$(bindir)|; s|@sbindir@|$(sbindir)|; s|@sysconfdir@|$(sysconfdir)|' $< >$@

install: all $(MAN_PAGES) $(UNITS)
	$(Q)DESTDIR='$(DESTDIR)' scripts/install/files install $(INSTALLED)
	$(Q)DESTDIR='$(DESTDIR)' scripts/install/files keep $(CONFIGURATION)

deb: all $(MAN_PAGES)
	scripts/deb $(BUILD)

uninstall:
	$(Q)DESTDIR='$(DESTDIR)' scripts/install/files uninstall $(INSTALLED)

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
