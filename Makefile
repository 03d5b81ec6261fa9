# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make demo   the main job on the model that ships, without torch
#   make test   the whole suite
# Each makes the virtual environments it needs, once, under .venv/.

PYTHON ?= python3
VENVS := .venv
# Python compiles what is imported, once; of all that is installed that is little.
unexport PYTHONDONTWRITEBYTECODE
PIP := -m pip --disable-pip-version-check install --quiet --progress-bar off --no-compile
PINNED := --constraint constraints/pins.txt
# A file of tests in one process, as many at once as there are processors; four need 8 GB.
# Tiny models gain nothing from the threads of torch and numpy, which wait for each other.
PYTEST := -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
ENVIRONMENT := pyproject.toml constraints/pins.txt constraints/transformers5.txt

.PHONY: demo test check lint types fast unit reference clean

demo: $(VENVS)/demo/ready
	$(VENVS)/demo/bin/albert-edge demo

# The code is looked at while the environments of the tests are built.
test:
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint types environments
	$(MAKE) --no-print-directory --jobs 2 unit soak
	$(MAKE) --no-print-directory reference

# The loop while working: what is quick to run, in less than three minutes on two cores.
check: lint types fast

fast: $(VENVS)/test/ready
	OMP_NUM_THREADS=1 $(VENVS)/test/bin/python $(PYTEST) --exitfirst \
		-m "not (slow or emulation or reference or gpu or browser)"

lint: $(VENVS)/test/ready
	$(VENVS)/test/bin/ruff format --check .
	$(VENVS)/test/bin/ruff check .

types: $(VENVS)/test/ready
	$(VENVS)/test/bin/mypy

.PHONY: environments
environments: prepared $(VENVS)/transformers5/ready

.PHONY: prepared
prepared: $(VENVS)/test/ready $(VENVS)/wheel/ready $(VENVS)/freeze/ready emulators browser node screen

SOAK := tests/hostile/test_soak.py::test_level_over_mixed_work

unit: prepared
	OMP_NUM_THREADS=1 $(VENVS)/test/bin/python $(PYTEST) --deselect $(SOAK)

# Five minutes of mixed work beside the other tests, with what they leave of the processors.
.PHONY: soak
soak: $(VENVS)/test/ready
	SOAK_MINUTES=5 SOAK_SHARE=0.2 OMP_NUM_THREADS=1 nice -n 19 $(VENVS)/test/bin/python -m pytest \
		-q -p no:cacheprovider $(SOAK)

# The tests that compare with transformers, once more against its newest version; other files would
# be imported for nothing.
reference: $(VENVS)/transformers5/ready
	OMP_NUM_THREADS=1 $(VENVS)/transformers5/bin/python $(PYTEST) -m reference \
		$$(grep -rlE 'mark\.reference|MARKS' tests --include='test_*.py')

# Runtime and exporter, as a user has them.
$(VENVS)/demo/ready: $(ENVIRONMENT)
	$(PYTHON) -m venv --clear $(VENVS)/demo
	$(VENVS)/demo/bin/python $(PIP) $(PINNED) --editable '.[cpu,export]'
	touch $@

# Everything, with transformers 4, which optimum still needs.
$(VENVS)/test/ready: $(ENVIRONMENT)
	$(PYTHON) -m venv --clear $(VENVS)/test
	$(VENVS)/test/bin/python $(PIP) $(PINNED) --editable '.[cpu,export,formats,neighbours,optimum,openvino,parquet,report,sign,docs,dev]'
	touch $@

$(VENVS)/transformers5/ready: $(ENVIRONMENT)
	$(PYTHON) -m venv --clear $(VENVS)/transformers5
	$(VENVS)/transformers5/bin/python $(PIP) --constraint constraints/transformers5.txt \
		--editable '.[cpu,export,formats,parquet,reference,report,sign,dev]'
	touch $@

# The built wheel with the runtime alone, as a program that embeds it has it.
$(VENVS)/wheel/ready: $(ENVIRONMENT) LICENSE README.md $(shell find albert_edge models -type f -not -path '*/__pycache__/*')
	rm -rf $(VENVS)/wheel
	$(PYTHON) -m venv $(VENVS)/wheel
	$(VENVS)/wheel/bin/python -m pip --disable-pip-version-check wheel --quiet --no-deps \
		--wheel-dir $(VENVS)/wheel/dist .
	$(VENVS)/wheel/bin/python $(PIP) $(PINNED) "$$(echo $(VENVS)/wheel/dist/*.whl)[cpu]"
	touch $@

# The same wheel with PyInstaller, to freeze programs with.
$(VENVS)/freeze/ready: $(VENVS)/wheel/ready
	$(PYTHON) -m venv --clear $(VENVS)/freeze
	$(VENVS)/freeze/bin/python $(PIP) $(PINNED) "$$(echo $(VENVS)/wheel/dist/*.whl)[cpu]" pyinstaller
	touch $@

# All promises of docs/security.md with all their cases, which takes an hour; `make test` runs a
# part of them.
.PHONY: hostile
hostile: $(VENVS)/test/ready
	HOSTILE=whole SOAK_MINUTES=60 OMP_NUM_THREADS=1 $(VENVS)/test/bin/python $(PYTEST) tests/hostile

# What is published of a version, in dist/: the wheel and the source archive, built twice; versions
# with hashes, bills of materials, the licences and known vulnerabilities of all dependencies.
# AUDIT=required fails where nobody can be asked for vulnerabilities.
RELEASE ?= dist
AUDIT ?= optional
.PHONY: release
release: $(VENVS)/release/ready
	$(VENVS)/release/bin/python release/make.py $(RELEASE) $(if $(filter required,$(AUDIT)),--require-audit)

# The workflows that publish, looked at for mistakes and for security problems.
.PHONY: workflows
workflows: $(VENVS)/release/ready
	$(VENVS)/release/bin/zizmor --offline --pedantic .github
	$(VENVS)/release/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

$(VENVS)/release/ready: pyproject.toml constraints/release.txt
	$(PYTHON) -m venv --clear $(VENVS)/release
	$(VENVS)/release/bin/python $(PIP) --constraint constraints/release.txt '.[release]'
	touch $@

clean:
	rm -rf $(VENVS)

# A file of a million records with a cheap model, killed 20 times; then with the model that ships.
.PHONY: million
million: $(VENVS)/test/ready
	ROWS=1000000 $(VENVS)/test/bin/python -m pytest -s tests/labelling/test_kills.py
	$(VENVS)/test/bin/python benchmarks/label_large_file.py

# The tests on emulated CPUs alone; unlike `make test`, it fails where there can be no emulators.
.PHONY: emulate emulators
emulate: $(VENVS)/test/ready $(VENVS)/wheel/ready $(VENVS)/emulation/ready
	$(VENVS)/test/bin/python -m pytest -m emulation

# For the whole suite: without emulators, the tests that need them are skipped.
emulators: $(VENVS)/test/ready | screen
	-$(MAKE) --no-print-directory $(VENVS)/emulation/ready

# Python on other CPUs; needs apt-get and dpkg, but not root.
$(VENVS)/emulation/ready: tests/emulation/prepare.py $(ENVIRONMENT) $(VENVS)/test/ready
	$(VENVS)/test/bin/python tests/emulation/prepare.py $(VENVS)/emulation

# The documentation as a site, in site/; a link that leads nowhere ends it.
.PHONY: docs
docs: $(VENVS)/test/ready
	NO_MKDOCS_2_WARNING=1 $(VENVS)/test/bin/python -m mkdocs build --strict

# For the whole suite: without a browser, the tests that look at pages are skipped.
.PHONY: browser
browser:
	-$(MAKE) --no-print-directory $(VENVS)/browser/ready

# Chromium, to look at pages with; where it is missing, Debian's package, which needs root.
$(VENVS)/browser/ready:
	mkdir -p $(@D)
	command -v chromium >/dev/null || \
		(apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends chromium)
	chromium --version > $@

# For the whole suite: without a screen in memory, the tests that use a window are skipped.
.PHONY: screen
screen: | browser
	-$(MAKE) --no-print-directory $(VENVS)/screen/ready

# A screen, keys to press on it and letters to draw; where they are missing, Debian's packages,
# which need root.
$(VENVS)/screen/ready:
	mkdir -p $(@D)
	(command -v Xvfb && command -v xdotool && fc-list | grep -q DejaVuSans.ttf) >/dev/null || \
		(apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends xvfb xdotool fontconfig fonts-dejavu-core)
	command -v Xvfb xdotool > $@

# For the whole suite: without npm, the tests that run JavaScript are skipped.
.PHONY: node
node:
	-$(MAKE) --no-print-directory $(VENVS)/npm/ready

# transformers.js and what builds examples/browser: 60 MB to fetch, 210 MB on disk.
$(VENVS)/npm/ready: examples/browser/package.json examples/browser/.npmrc
	rm -rf $(@D)
	mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm install --no-audit --no-fund --silent
	touch $@
