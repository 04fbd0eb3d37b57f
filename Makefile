# Every target sets up what it needs from nothing: Debian packages, a virtual environment in the tree, the shim.
# Already there, that costs a glance at dpkg's list and two time stamps.

VENV   := .venv
PY     := $(VENV)/bin/python
PYTHON ?= /usr/bin/python3# Debian's: one that every user may read, as the lab also runs for ordinary users
SPEC   ?= examples/three-nodes.yaml
B      ?= fib cni
SEED   ?= 1
MINUTES ?= 1

DEBIAN := python3 python3-venv gcc libc6-dev musl-tools make util-linux iproute2 iputils-ping tcpdump bird2 \
          containernetworking-plugins
ifneq ($(filter test,$(MAKECMDGOALS)),)
DEBIAN += frr gobgpd iptables nftables openssl
endif
ifneq ($(filter faults,$(MAKECMDGOALS)),)
DEBIAN += nftables
endif
ifneq ($(filter bench test-kube test-datastore,$(MAKECMDGOALS)),)
DEBIAN += openssl
endif
ifneq ($(filter image,$(MAKECMDGOALS)),)
DEBIAN += buildah mmdebstrap
endif
ifneq ($(filter test test-kernel-short,$(MAKECMDGOALS)),)
DEBIAN += user-mode-linux kmod
endif
ifneq ($(filter test-kernel lab-ipip,$(MAKECMDGOALS)),)
DEBIAN += qemu-system-x86 busybox-static kmod
endif
ifneq ($(filter kube test test-cluster kube-test kube-test-nodes kube-assets-nodes,$(MAKECMDGOALS)),)
DEBIAN += openssl systemd iptables nftables busybox-static curl procps buildah mmdebstrap pkg-config libseccomp-dev
endif
ifneq ($(filter test test-runtimes test-runtimes-short,$(MAKECMDGOALS)),)
DEBIAN += systemd containerd runc podman iptables busybox-static curl
DEBIAN += $(if $(shell command -v go),,golang-go)
endif
MISSING  := $(filter-out $(shell dpkg-query -W -f='$${Package} $${db:Status-Status}\n' $(DEBIAN) 2>/dev/null \
              | sed -n 's/ installed$$//p'),$(DEBIAN))
INSTALL  := apt-get install -y --no-install-recommends $(MISSING)

.PHONY: faults soak image kube kube-down kube-assets kube-assets-nodes kube-test kube-test-api kube-test-labs \
        kube-test-nodes lab lab-ipip lint bench bench-check clean setup packages \
        test test-bgp test-cluster test-datastore test-faults test-kernel test-kernel-short test-kube test-lab test-labs \
        test-packages test-runtimes test-runtimes-short test-scenarios
.DEFAULT_GOAL := lab

lab: setup
	@$(PY) -m felixctl lab run $(SPEC) --json build/lab.json --svg build/lab.svg

# The image as an archive, and the inventories (SBOM) of what is in it. Elsewhere: docker build, as in the Dockerfile.
image: setup
	$(PY) -m tests.cluster.image --out build

# A real Kubernetes of three nodes on this machine, with felix-py from its own image and manifests. It stays.
kube: kube-assets-nodes
	@$(PY) -m tests.cluster up

kube-down:
	@[ ! -x $(PY) ] || $(PY) -m tests.cluster down

# What most machines' kernels lack is shown under a stock Debian kernel in emulation, 15 to 25 times slower. The short run
# is under Debian's user-mode Linux, for a quarter of the processor time; that one lacks nftables.
VMRUN := tests/vm/vmrun --rw build

lab-ipip: setup
	$(VMRUN) -- $(PY) -m felixctl lab run examples/ipip.yaml --json build/lab-ipip.json --svg build/lab-ipip.svg

test-kernel: setup
	$(VMRUN) --timeout 900 -- $(PY) -m tests.vm.ipip

test-kernel-short: setup
	tests/vm/umlrun --timeout 900 --rw build -- $(PY) -m tests.vm.ipip short

# Clusters, labs and container runtimes mostly wait and the rest mostly computes, so the parts of the tests run side by
# side, six at a time, those first that take longest: the short ones at the end of the list fill both processors while the
# last of the long ones ends.
test: kube-assets-nodes
	@echo "six parts of the tests run at a time; each prints its result at its end, the first after some minutes"
	@$(MAKE) --no-print-directory --jobs=6 --output-sync=target -o setup -o kube-assets -o kube-assets-nodes \
	  test-cluster test-packages test-kube test-scenarios test-datastore test-runtimes-short \
	  test-bgp test-labs test-faults test-kernel-short lint test-lab

RUNTIMES := tests/runtimes
KUBE := tests/kube tests/datastore tests/cluster
SCALE := tests/kube/test_scale.py
KUBE_LABS := tests/kube/three_nodes tests/kube/test_many_agents.py tests/kube/test_pod_cidrs.py
STORES := tests/bench tests/datastore

test-lab: setup
	$(PY) -m felixctl lab run $(SPEC) --json build/lab.json --svg build/lab.svg

test-labs: setup
	$(PY) -m pytest -q -m "not long" tests/lab

test-scenarios: setup
	$(PY) -m pytest -q -m "not long" tests/scenarios

test-faults: setup
	$(PY) -m pytest -q -m "not long" tests/faults

test-bgp: setup
	$(PY) -m pytest -q -m "not long" tests/bgp

test-kube: kube-assets
	$(PY) -m pytest -q -m "not long" tests/kube

# Three nodes with kubelets, installed by the project's own image and manifests; without the long tests some minutes.
test-cluster: kube-assets-nodes
	$(PY) -m pytest -q -m "not long" tests/cluster

# All that concerns the Kubernetes API, against a real one, with the tests marked `long` that `make test` leaves out. The
# nodes mostly wait for kubelets, so the rest runs beside them, in two parts that take about as long as each other, but for
# the thousand nodes, whose figures are of a machine of their own. Each line says which part it is of.
kube-test: kube-assets-nodes
	$(PY) -m tests.kube.assets kwok
	@$(MAKE) --no-print-directory --jobs=3 kube-test-nodes kube-test-labs kube-test-api
	$(PY) -m pytest $(SCALE)

kube-test-nodes: PART = tests/cluster
kube-test-labs: PART = $(filter-out tests/cluster tests/kube,$(KUBE)) $(KUBE_LABS)
kube-test-api: PART = tests/kube $(addprefix --ignore=,$(SCALE) $(KUBE_LABS))

# Interrupted, the one that writes the lines has to last until the clusters have ended.
kube-test-nodes kube-test-labs kube-test-api: SHELL := /bin/bash
kube-test-nodes: kube-assets-nodes
kube-test-labs kube-test-api: kube-assets
kube-test-nodes kube-test-labs kube-test-api:
	@set -o pipefail; $(PY) -m pytest --no-header --color=no $(PART) | (trap '' INT; exec sed -u 's/^/$(@:kube-test-%=%) | /')

# etcd and the Kubernetes API server, compiled once into a cache outside the tree (or those that KUBEBUILDER_ASSETS names).
kube-assets: setup
	$(PY) -m tests.kube.assets api

# The same with what nodes run: kubelet, containerd, kube-proxy and the controllers.
kube-assets-nodes: setup
	$(PY) -m tests.kube.assets api nodes

test-packages: setup
	$(PY) -m pytest -q -m "not long" $(addprefix --ignore=,$(RUNTIMES) $(STORES) \
	  tests/bgp tests/cluster tests/faults tests/kube tests/lab tests/scenarios)

# The packages whose tests have an API server of their own.
test-datastore: kube-assets
	$(PY) -m pytest -q -m "not long" $(STORES)

# Real container runtimes on plain machines that systemd runs, installed as docs/standalone.md says.
test-runtimes: setup
	$(PY) -m pytest -q $(RUNTIMES)

# Without containerd 2, which takes minutes to compile the first time.
test-runtimes-short: setup
	$(PY) -m pytest -q $(RUNTIMES) -k "not containerd2"

# A fresh tree begins with what mypy found out for another one, kept outside: half a minute less. It compares contents.
# What cannot be kept, or is replaced while it is copied, is no finding.
TYPES := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/felix-types

lint: setup
	$(VENV)/bin/ruff check .
	@[ -d .mypy_cache ] || [ ! -d $(TYPES) ] || cp -a $(TYPES) .mypy_cache || :
	$(VENV)/bin/mypy
	@mkdir -p $(TYPES) && fresh=$$(mktemp -d $(TYPES).XXXXXX) && \
	  { cp -a .mypy_cache/. $$fresh && rm -rf $(TYPES) && mv -T $$fresh $(TYPES) || rm -rf $$fresh; } || :

# Beside what people use today, or B=all: tables, and build/bench/NAME.json and NAME.svg.
bench: setup $(if $(filter kube cli all,$(B)),kube-assets)
	$(PY) -m bench $(B)

# What the benches have found, beside the goals of bench/goals.py.
bench-check: setup
	@$(PY) -m bench.check

# A lab under seeded faults: what each costs, and when all is in sync again. build/faults.txt is for a person.
faults: setup
	@$(PY) -m faults --seed $(SEED) --minutes $(MINUTES)

# Pods and addresses that come and go for an hour, or MINUTES, beside crashes: nothing may grow.
soak: MINUTES = 60
soak: setup
	@$(PY) -m soak --minutes $(MINUTES)

clean:
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: packages $(VENV)/.installed $(VENV)/.compiled build/felix-cni

packages:
ifneq ($(strip $(MISSING)),)
	@if [ "$$(id -u)" = 0 ]; then \
	  echo "installing $(MISSING)"; \
	  export DEBIAN_FRONTEND=noninteractive; apt-get update -q && $(INSTALL); \
	else \
	  echo "make needs these packages: $(MISSING). Installing them takes root, once: $(INSTALL)" >&2; exit 1; \
	fi
endif

# PIP_CONSTRAINT instead of -c: it binds the build backend's environment too. pip would compile on one processor; half of
# the Kubernetes client is its asynchronous twin, which nothing imports.
$(VENV)/.installed: pyproject.toml constraints.txt | packages
	umask 022; [ -x $(PY) ] || $(PYTHON) -m venv $(VENV)
	@echo "installing the Python packages that constraints.txt pins: a minute, on a busy machine some"
	umask 022; PIP_CONSTRAINT=$(CURDIR)/constraints.txt \
	  $(PY) -m pip install -q --disable-pip-version-check --no-compile -e '.[dev]'
	umask 022; $(PY) -m compileall -q -j 0 -x /kubernetes/aio/ $(VENV)/lib
	@touch $@

# The lab sees the tree read-only: what is not compiled before is compiled again by each of its processes.
PACKAGES := $(filter-out bench tests,$(patsubst %/__init__.py,%,$(wildcard */__init__.py)))
$(VENV)/.compiled: $(shell find $(PACKAGES) -name '*.py') $(VENV)/.installed
	@$(PY) -m compileall -q $(PACKAGES)
	@touch $@

build/felix-cni: $(wildcard cni/shim.c cni/build.py) $(VENV)/.installed
	@mkdir -p build
	$(PY) -m cni.build $@
