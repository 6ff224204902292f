# How the tests are run; included by the Makefile. Lists are wildcards: a new test needs no edit here.
#
#   make check        lint, unit, vectors, live, fault, asan, ubsan, fuzz-short, VM 6.1 and 6.12
#   make check-quick  lint, unit, vectors and live on this host: two minutes
#   make check-vm     the VM parts alone (KERNELS="6.1 6.12 newest" chooses)
#   make check-asan, check-ubsan      unit, vectors and live under a sanitizer
#   make fuzz-short   every fuzzer, RUNS=100000 runs each; make fuzz RUNS=10000000 for long
#   make escape       the escape matrix on three kernels, into build/escape/matrix.{md,json}
#   make lint         layout, size and dependency rules, formatting
#   make bench        every figure that is quoted, into build/bench/*.md (BENCHES="node chain" chooses)
#   make demo         the whole story        make install-deps   what apt has to add
#
# One call of tests/run takes all parts, so that one last line sums up all of them. Tests find the
# output directory of their flavour in OMEGA_BUILD; OMEGA_QUICK=1 asks long ones to be short.
KERNELS ?= 6.1 6.12
RUNS ?= 100000
NPROC := $(shell nproc)
RUN := tests/run

# Programs of kind $(1) (unit, live, ...) in output directory $(2), then scripts.
test_bins = $(patsubst %.c,$(2)/%,$(sort $(wildcard tests/$(1)/test_*.c)))
test_scripts = $(sort $(wildcard tests/$(1)/test_*.sh tests/$(1)/test_*.py))
test_list = $(call test_bins,$(1),$(2)) $(call test_scripts,$(1))

# Parts on this host: $(1) is the output directory, $(2) the flavour, $(3) more options.
host_parts = \
	--part unit$(2) --jobs $(NPROC) --env OMEGA_BUILD=$(1) $(3) $(call test_list,unit,$(1)) $(call test_list,sim,$(1)) \
	--part vectors$(2) --jobs $(NPROC) --env OMEGA_BUILD=$(1) $(3) $(call test_list,vectors,$(1)) \
	--part live$(2) --env OMEGA_BUILD=$(1) $(3) $(call test_list,live,$(1))
# Fault points are in a build of their own: nothing that is shipped or tested otherwise has them.
FAULT_O := $(O)-fault
fault_part = --part fault --env OMEGA_BUILD=$(O) $(call test_list,fault,$(FAULT_O))
lint_part = --part lint --plain tools/lint
# A time-out here is for one program in a machine of emulated processors.
vm_part = --part vm-$(1) --vm $(1) --timeout 150 --env OMEGA_BUILD=$(O) \
	$(call test_list,vm,$(O)) $(call test_list,live,$(O)) $(call test_list,fault,$(FAULT_O))
vm_parts = $(foreach k,$(KERNELS),$(call vm_part,$(k)) $(call escape_part,$(k)))
# The escape matrix has a machine of its own: it kills the agent and fills the ring.
escape_part = --part escape-$(1) --vm $(1) --timeout 300 --env OMEGA_BUILD=$(O) tests/escape/matrix.py
ESCAPE_KERNELS ?= 6.1 6.12 newest
escape_only = $(foreach k,$(filter-out $(KERNELS),$(ESCAPE_KERNELS)),$(call escape_part,$(k)))

ASAN_O  := $(O)-asan
UBSAN_O := $(O)-ubsan
FUZZ_O  := $(O)-fuzz
# A leak is a failure; a sanitizer's report ends the program, which the driver then sees.
SANITIZE := --timeout 300 --env UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	--env ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1
asan_parts  = $(call host_parts,$(ASAN_O),-asan,$(SANITIZE))
ubsan_parts = $(call host_parts,$(UBSAN_O),-ubsan,$(SANITIZE))

# libFuzzer writes what it finds into the first directory, so that one is scratch; seeds come second.
fuzz_seeds = $(wildcard tests/fuzz/corpus/$(patsubst fuzz_%,%,$(1)))
fuzz_cmd = $(FUZZ_O)/$(1) -runs=$(RUNS) -seed=1 -print_final_stats=0 -verbosity=0 \
	-artifact_prefix=$(FUZZ_O)/ $(FUZZ_O)/corpus/$(1) $(call fuzz_seeds,$(1))
fuzz_parts = --part fuzz --jobs $(NPROC) --timeout 7200 $(foreach f,$(notdir $(basename $(FUZZ_SRC))),--plain '$(call fuzz_cmd,$(f))')

SUB := $(MAKE) --no-print-directory
.PHONY: build-asan build-ubsan build-fuzz build-fault fetch-kernels
build-fault:
	+@$(SUB) FAULTS=1 O=$(FAULT_O) all $(call test_bins,fault,$(FAULT_O)) \
		$(patsubst tests/helpers/%.c,$(FAULT_O)/tests/helpers/%,$(HELPER_SRC))
build-asan:
	+@$(SUB) BUILD=asan O=$(ASAN_O) tests-bin
build-ubsan:
	+@$(SUB) BUILD=ubsan O=$(UBSAN_O) tests-bin
build-fuzz:
	+@$(SUB) BUILD=fuzz O=$(FUZZ_O) fuzz-bin
	@mkdir -p $(foreach f,$(notdir $(basename $(FUZZ_SRC))),$(FUZZ_O)/corpus/$(f))
fetch-kernels:
	@tests/vm/fetch $(sort $(KERNELS) $(ESCAPE_KERNELS))

.PHONY: escape check check-quick check-vm check-asan check-ubsan fuzz fuzz-short lint demo install-deps
check: tests-bin escape-bin build-asan build-ubsan build-fuzz build-fault fetch-kernels
	@$(RUN) $(lint_part) $(call host_parts,$(O),) $(fault_part) $(asan_parts) $(ubsan_parts) $(fuzz_parts) $(vm_parts) $(escape_only)
check-quick: tests-bin
	@OMEGA_QUICK=1 $(RUN) $(lint_part) $(call host_parts,$(O),)
check-vm: tests-bin escape-bin build-fault fetch-kernels
	@$(RUN) $(vm_parts)
check-asan: build-asan
	@$(RUN) $(asan_parts)
check-ubsan: build-ubsan
	@$(RUN) $(ubsan_parts)
escape: all escape-bin fetch-kernels
	@rm -f $(O)/escape/*.json
	@$(RUN) $(foreach k,$(ESCAPE_KERNELS),$(call escape_part,$(k))); code=$$?; \
		tests/escape/table.py $(O)/escape $(ESCAPE_KERNELS:%=$(O)/escape/%.json) && exit $$code
fuzz fuzz-short: build-fuzz
	@$(RUN) $(fuzz_parts)
lint:
	@tools/lint
demo: install-deps
	@BUILD_DIR=$(O) tools/demo
install-deps:
	@tools/install-deps

.PHONY: bench
bench: bench-bin
	@bench/run $(O) $(BENCHES)
