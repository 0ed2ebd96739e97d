# What the builds of functions and layers share. `sam build` runs each of them in this folder (WorkingDirectory in
# template.yaml) with ARTIFACTS_DIR set, on any Python 3.11 or newer: all that is packaged is pure Python.

# Fetches the wheels. Set PYTHON to choose another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)

# What a user has set for pip's installations on their own machine would end these.
export PIP_USER := 0
export PIP_REQUIRE_VIRTUALENV := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT

# Byte code fits one minor version only: that of the functions' runtime. bin/python is asked without PYTHON, which has been
# tried, and answers with the path of what it finds.
RUNTIME := 3.13
RUNTIME_PYTHON := $(shell for python in "$(PYTHON)" python$(RUNTIME) bin/python; do PYTHON= "$$python" -c 'import sys; \
	print(sys.executable) if "%d.%d" % sys.version_info[:2] == "$(RUNTIME)" else sys.exit(1)' 2>/dev/null && break; done)

# Compiles what was packaged; $(1) is where the runtime mounts it. Byte code that is checked by time would never be used,
# because SAM gives every file in a package the same date in 1980; so it is not checked at all.
define compile
	@[ -z "$(RUNTIME_PYTHON)" ] || "$(RUNTIME_PYTHON)" -m compileall -q --invalidation-mode unchecked-hash \
		-s "$(ARTIFACTS_DIR)" -p $(1) "$(ARTIFACTS_DIR)"
endef
