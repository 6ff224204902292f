# One Makefile, no recursion. Everything that is made lies under $(O).
#
#   make            the programs
#   make demo       the whole story, natively or in a VM
#   make check      every test          make check-quick   the inner loop, two minutes
#   make lint       layout, size and dependency rules, formatting
#   make install    PREFIX=/usr/local DESTDIR=
#   make help       all targets
#
# BUILD=release|asan|ubsan|fuzz|cov selects the flavour; V=1 shows the commands.
MAKEFLAGS += -rR
SHELL := /bin/bash
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

BUILD ?= release
ifeq ($(BUILD),release)
O ?= build
else
O ?= build-$(BUILD)
endif

CC ?= gcc
ifeq ($(CC),cc)
CC := gcc
endif
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /sbin/bpftool) bpftool)
AR := gcc-ar

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

# --- flags ---------------------------------------------------------------------------------------
WARN := -Wall -Wextra -Werror -Wconversion -Wno-sign-conversion -Wswitch-enum -Wshadow -Wvla -Wundef \
	-Wpointer-arith -Wmissing-declarations -Wmissing-prototypes -Wstrict-prototypes -Wformat=2 \
	-Wformat-security -Winit-self -Wcast-align -Wredundant-decls -Wwrite-strings -Wnested-externs \
	-Wno-unused-parameter -Wno-missing-field-initializers
HARD := -fPIE -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero \
	-fcf-protection -fno-strict-aliasing
INC := -Iinclude -I. -I$(O)/gen
CFLAGS := -std=gnu17 -g -O2 $(WARN) $(HARD) -D_GNU_SOURCE
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack

ifeq ($(BUILD),release)
CFLAGS += -D_FORTIFY_SOURCE=3
else ifeq ($(BUILD),asan)
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=address -fno-sanitize-recover=all
LDFLAGS += -fsanitize=address
else ifeq ($(BUILD),ubsan)
CFLAGS += -O1 -fsanitize=undefined -fno-sanitize-recover=all
LDFLAGS += -fsanitize=undefined
else ifeq ($(BUILD),cov)
CFLAGS += -O0 --coverage
LDFLAGS += --coverage
else ifeq ($(BUILD),fuzz)
CC := clang
AR := llvm-ar
CFLAGS := $(filter-out -fstack-clash-protection -ftrivial-auto-var-init=zero,$(CFLAGS)) -O1 -fsanitize=address,undefined,fuzzer-no-link \
	  -fno-sanitize-recover=all -Wno-unknown-warning-option -Wno-format-nonliteral -Wno-cast-align -Wno-string-plus-int
LDFLAGS += -fsanitize=address,undefined
else
$(error BUILD=$(BUILD) is not one of release asan ubsan fuzz cov)
endif
# Instrumented code hides value ranges from gcc, which then warns of what the release build knows to be fine.
ifneq ($(filter asan ubsan,$(BUILD)),)
CFLAGS += -Wno-conversion -Wno-unused-const-variable -Wno-maybe-uninitialized
endif
# Fault points exist only where the tests ask for them (make FAULTS=1 O=...).
ifdef FAULTS
CFLAGS += -DOMEGA_FAULTS
endif

# --- sources, by wildcard: a new file needs no edit here -------------------------------------------
LIB_DIRS_base     := base
LIB_DIRS_policies := policies policies/manifest policies/caps policies/ir policies/engine policies/lint policies/emit policies/profiles
LIB_DIRS_chain    := agent/chain agent/chain/format agent/chain/signer agent/chain/verify
LIB_DIRS_loader   := loader loader/txn loader/process loader/net loader/guard
LIB_DIRS_agent    := agent/role agent/events agent/varlink
LIB_DIRS_ctl      := agent/ctl/lib agent/ctl/log
LIBS := base policies chain loader agent ctl

lib_src = $(sort $(foreach d,$(LIB_DIRS_$(1)),$(wildcard $(d)/*.c)))
obj = $(patsubst %.c,$(O)/obj/%.o,$(1))
lib = $(foreach l,$(1),$(O)/lib$(l).a)

# The registry of capabilities is made from the file list: a new file in policies/caps/ is enough.
CAP_NAMES := $(sort $(notdir $(basename $(wildcard policies/caps/*.c))))

# --- programs: what each links shows what it can do ---------------------------------------------------
ROLES := $(sort $(notdir $(patsubst %/,%,$(wildcard agent/roles/*/))))
PROGS := $(if $(wildcard agent/omegad/*.c),omegad) $(addprefix omegad-,$(ROLES)) $(if $(wildcard agent/ctl/*.c),omegactl)

SRC_omegad   = $(wildcard agent/omegad/*.c)
SRC_omegactl = $(wildcard agent/ctl/*.c)
src_prog = $(if $(SRC_$(1)),$(SRC_$(1)),$(wildcard agent/roles/$(patsubst omegad-%,%,$(1))/*.c))

USES_omegad          := agent base
USES_omegactl        := ctl agent policies chain base
USES_omegad-api      := agent chain base
USES_omegad-compile  := agent policies base
USES_omegad-load     := agent loader base
USES_omegad-drain    := agent chain base
USES_omegad-sign     := agent chain base
USES_omegad-shim     := agent loader base

SYS_omegad          := -lseccomp
SYS_omegactl        := -ljansson -lsodium -lnettle -lseccomp -lz
SYS_omegad-api      := -ljansson -lseccomp
SYS_omegad-compile  := -lseccomp -lnettle
SYS_omegad-load     := -lbpf -lelf -lz -lnftnl -lmnl -lseccomp -lnettle
SYS_omegad-drain    := -lbpf -lelf -lz -lsodium -lnettle -lseccomp
SYS_omegad-sign     := -lsodium -lnettle -lseccomp
SYS_omegad-shim     := -lnettle
# One starts with every brane: without a dynamic linker it does so in half of the time.
ifneq ($(filter release cov,$(BUILD)),)
LINK_omegad-shim    := -static-pie
endif
SYS_TEST            := -lcmocka -ljansson -lbpf -lelf -lz -lnftnl -lmnl -lsodium -lnettle -lseccomp

.PHONY: all
all: $(addprefix $(O)/,$(PROGS)) $(if $(wildcard tests/vectors/toml_decode.c),$(O)/toml-decode)

# --- generated ------------------------------------------------------------------------------------
$(O)/gen/registry_list.h: $(wildcard policies/caps/*.c) Makefile
	$(call say,GEN,$@)mkdir -p $(@D) && printf 'OM_CAP(%s)\n' $(CAP_NAMES) > $@

BPF_SRC  := $(sort $(wildcard bpf/*.bpf.c bpf/self/*.bpf.c))
BPF_HDRS := $(wildcard bpf/*.h bpf/lib/*.h include/omega/abi/*.h include/omega/limits.h)
BPF_SKEL := $(patsubst bpf/%.bpf.c,$(O)/gen/%.skel.h,$(BPF_SRC))

BPF_CC   := $(CLANG) -target bpf -mcpu=v3 -g -O2 -Wall -Wextra -Werror -Wno-unused-parameter -D__TARGET_ARCH_x86 $(if $(FAULTS),-DOMEGA_FAULTS) \
	    -Iinclude -I. -I/usr/include/$(shell gcc -print-multiarch)

$(O)/bpf/%.bpf.o: bpf/%.bpf.c $(BPF_HDRS)
	$(call say,BPF,$@)mkdir -p $(@D) && $(BPF_CC) -c $< -o $@
$(O)/gen/%.skel.h: $(O)/bpf/%.bpf.o
	$(call say,SKEL,$@)mkdir -p $(@D) && $(BPFTOOL) gen skeleton $< name $(subst .,_,$(notdir $*))_bpf > $@ 2>$(O)/gen/$*.log

$(O)/obj/policies/registry.o: $(O)/gen/registry_list.h
$(call obj,$(wildcard loader/bpf*.c) loader/guard/self.c): $(BPF_SKEL)
# Generated skeletons do not follow our warning set.
$(call obj,$(wildcard loader/bpf*.c) loader/guard/self.c): CFLAGS += -Wno-conversion -Wno-cast-align -Wno-string-plus-int -Wno-discarded-qualifiers -Wno-shadow

# --- rules ------------------------------------------------------------------------------------------
$(O)/obj/%.o: %.c Makefile
	$(call say,CC,$@)mkdir -p $(@D) && $(CC) $(CFLAGS) $(INC) -MMD -MP -c $< -o $@

define lib_rule
$(O)/lib$(1).a: $(call obj,$(call lib_src,$(1)))
	$$(call say,AR,$$@)mkdir -p $$(@D) && rm -f $$@ && $(AR) rcs $$@ $$^
endef
$(foreach l,$(LIBS),$(eval $(call lib_rule,$(l))))

define prog_rule
$(O)/$(1): $(call obj,$(call src_prog,$(1))) $(call lib,$(USES_$(1)))
	$$(call say,LD,$$@)$(CC) $(CFLAGS) $(LDFLAGS) $(LINK_$(1)) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $(SYS_$(1))
endef
$(foreach p,$(PROGS),$(eval $(call prog_rule,$(p))))

$(O)/toml-decode: $(O)/obj/tests/vectors/toml_decode.o $(call lib,policies base)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lseccomp -lnettle

# --- tests: tests/unit/test_X.c becomes $(O)/tests/unit/test_X, and so for live, vm, fault ---------------
TEST_SRC  := $(sort $(foreach d,unit sim vectors live vm fault,$(wildcard tests/$(d)/test_*.c)))
TEST_BINS := $(patsubst %.c,$(O)/%,$(TEST_SRC))
TEST_UTIL := $(wildcard tests/util/*.c)
# Small programs that tests run inside a brane or a VM: static, no libraries.
HELPER_SRC  := $(sort $(wildcard tests/helpers/*.c))
HELPER_BINS := $(patsubst tests/helpers/%.c,$(O)/tests/helpers/%,$(HELPER_SRC))

$(TEST_BINS): $(O)/%: $(O)/obj/%.o $(call obj,$(TEST_UTIL)) $(call lib,$(LIBS))
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(SYS_TEST)
$(HELPER_BINS): $(O)/tests/helpers/%: tests/helpers/%.c
	$(call say,LD,$@)mkdir -p $(@D) && gcc -std=gnu17 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D_GNU_SOURCE -Iinclude -static -o $@ $<

# The escape suite: one static program for each row of the catalogue, tests/escape/FAMILY/NNN-name.c.
ESCAPE_SRC  := $(sort $(filter-out tests/escape/lib/%,$(wildcard tests/escape/*/*.c)))
ESCAPE_BINS := $(patsubst %.c,$(O)/%,$(ESCAPE_SRC) tests/escape/lib/driver.c tests/escape/lib/giver.c tests/escape/lib/prog.c)
ESCAPE_CC   := gcc -std=gnu17 -O1 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers -D_GNU_SOURCE -Iinclude -I.
$(O)/tests/escape/lib/escape.o: tests/escape/lib/escape.c tests/escape/lib/escape.h
	$(call say,CC,$@)mkdir -p $(@D) && $(ESCAPE_CC) -c $< -o $@
$(filter-out %/driver %/giver %/prog,$(ESCAPE_BINS)): $(O)/%: %.c $(wildcard tests/escape/lib/*.h) $(O)/tests/escape/lib/escape.o
	$(call say,LD,$@)mkdir -p $(@D) && $(ESCAPE_CC) -static -o $@ $< $(O)/tests/escape/lib/escape.o
$(O)/tests/escape/lib/prog: tests/escape/lib/prog.c
	$(call say,LD,$@)mkdir -p $(@D) && $(ESCAPE_CC) -nostdlib -static -s -o $@ $<
$(O)/tests/escape/lib/driver $(O)/tests/escape/lib/giver: $(O)/%: %.c $(wildcard tests/escape/lib/*.h)
	$(call say,LD,$@)mkdir -p $(@D) && $(ESCAPE_CC) -static -o $@ $<

FUZZ_SRC  := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(O)/%,$(FUZZ_SRC))
$(FUZZ_BINS): $(O)/%: $(O)/obj/tests/fuzz/%.o $(call lib,$(LIBS))
	$(call say,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(SYS_TEST)

# A bench's own programs; what they include of bpf/ is what is measured.
$(O)/bpf/bench_%.bpf.o: bench/%.bpf.c bench/lib/%.h $(BPF_HDRS)
	$(call say,BPF,$@)mkdir -p $(@D) && $(BPF_CC) -c $< -o $@
$(O)/obj/bench/bench_core.o: $(O)/gen/bench_core.skel.h
$(O)/obj/bench/bench_core.o: CFLAGS += -Wno-conversion -Wno-cast-align -Wno-string-plus-int -Wno-discarded-qualifiers -Wno-shadow

BENCH_BINS := $(patsubst %.c,$(O)/%,$(sort $(wildcard bench/bench_*.c)))
$(BENCH_BINS): $(O)/%: $(O)/obj/%.o $(call obj,$(wildcard bench/lib/*.c)) $(call lib,$(LIBS))
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(SYS_TEST)

.PHONY: man
man: $(O)/omegactl
	$(call say,MAN,$(O)/man)mkdir -p $(O)/man && cp docs/man/omegad.8 $(O)/man/ && \
		$(O)/omegactl help man omegactl > $(O)/man/omegactl.1 && \
		$(O)/omegactl help man brane.toml > $(O)/man/brane.toml.5

.PHONY: tests-bin fuzz-bin bench-bin escape-bin bpf
tests-bin: all $(TEST_BINS) $(HELPER_BINS)
fuzz-bin: $(FUZZ_BINS)
bench-bin: all $(BENCH_BINS)
escape-bin: $(ESCAPE_BINS)
bpf: $(BPF_SKEL)

-include tests/check.mk

# --- installing --------------------------------------------------------------------------------------
PREFIX ?= /usr/local
LIBEXEC := $(PREFIX)/libexec/omega
.PHONY: install
# omegad finds its roles beside itself, so they lie in one folder; links make the two commands known.
install: all man
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(LIBEXEC) \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 0755 $(addprefix $(O)/,$(filter omegad%,$(PROGS))) $(DESTDIR)$(LIBEXEC)
	install -m 0755 $(O)/omegactl $(DESTDIR)$(PREFIX)/bin
	ln -sf omegactl $(DESTDIR)$(PREFIX)/bin/omega
	ln -sf ../libexec/omega/omegad $(DESTDIR)$(PREFIX)/sbin/omegad
	install -m 0644 $(O)/man/omegactl.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0644 $(O)/man/brane.toml.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 0644 docs/man/omegad.8 $(DESTDIR)$(PREFIX)/share/man/man8
	$(O)/omegactl completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/omegactl
	sed 's,^ExecStart=[^ ]*omegad,ExecStart=$(PREFIX)/sbin/omegad,' packaging/omegad.service > \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/omegad.service

.PHONY: help clean
help:
	@sed -n '1,/^MAKEFLAGS/s/^# \{0,1\}//p' Makefile; sed -n 's/^#   make/  make/p' tests/check.mk
clean:
	rm -rf $(O)

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
