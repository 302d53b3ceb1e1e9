# make run  - set up and start the whole product on this machine
# make test - set up and pass the tests
# make prove - measure the headline figures
# make fuzz - search for inputs that break a reader
# make mutants - break the code, and see whether a test notices
PY ?= python3
VENV := .venv
ARGS ?=
# Tests start many processes, and each would compile all modules anew.
export PYTHONDONTWRITEBYTECODE =
# Whole files, in the order of tests/conftest.py: what takes longest begins first.
BESIDE = -n 4 --dist loadfile --no-loadscope-reorder

.PHONY: run test bench prove fuzz mutants lock form widget widget-check release clean

run: $(VENV)/.run
	@exec $(VENV)/bin/otp-service demo $(ARGS)

test: $(VENV)/.test
	@$(VENV)/bin/python -m pytest $(BESIDE) -m "not slow and not needs_chromium and not needs_image and not needs_prometheus and not needs_nginx and not needs_node" $(ARGS)

bench: $(VENV)/.test
	@$(VENV)/bin/python -m tests.bench $(ARGS)

# The headline figures, each with JSON and a picture in docs/evidence.
prove: $(VENV)/.test
	@$(VENV)/bin/python -m tests.prove $(ARGS)

# Tests that judge the tests: `make fuzz ARGS="numbers --seconds 600"` and `make mutants`.
fuzz: $(VENV)/.judge
	@$(VENV)/bin/python -m tests.fuzz.guided $(ARGS)

mutants: $(VENV)/.judge
	@$(VENV)/bin/python -m tests.mutants $(ARGS)

# A pip of any age installs from the lock files; hashes are checked for every file.
$(VENV)/.run: requirements-demo.txt pyproject.toml
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@test -x $(VENV)/bin/pip || $(PY) -m venv --clear $(VENV) >/dev/null || $(MAKE) --no-print-directory $(VENV)/.venv
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-demo.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Debian ships Python without what makes environments.
$(VENV)/.venv:
	@command -v apt-get >/dev/null && test "$$(id -u)" = 0 || \
	  { echo "Python's venv module is missing. On Debian: sudo apt-get install python3-venv"; exit 1; }
	apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv
	$(PY) -m venv --clear $(VENV)

$(VENV)/.test: $(VENV)/.run tests/requirements.txt clients/python/pyproject.toml
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e clients/python
	@touch $@

# What only .ci/run needs.
$(VENV)/.ci: $(VENV)/.test tests/requirements-ci.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements-ci.txt
	@touch $@

# What only `make fuzz` and `make mutants` need.
$(VENV)/.judge: $(VENV)/.test tests/requirements-judge.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements-judge.txt
	@touch $@

# Extras stay in the lock: an old pip looks for `coverage[toml]` by itself and takes a newer one than `coverage==` pins.
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/pip-compile --quiet --allow-unsafe --no-strip-extras \
  --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
# What compiles Argon2 for one kind of machine, see Dockerfile.
NATIVE = cmake ninja scikit-build-core setuptools-scm

lock: $(VENV)/.test
	$(COMPILE) --build-deps-for=editable -o requirements.txt pyproject.toml
	$(COMPILE) --build-deps-for=editable --extra demo -o requirements-demo.txt pyproject.toml
	$(COMPILE) --build-deps-for=editable --extra demo --extra test -o tests/requirements.txt pyproject.toml
	$(COMPILE) --build-deps-for=editable --extra demo --extra test --extra ci -o tests/requirements-ci.txt pyproject.toml
	$(COMPILE) --build-deps-for=editable --extra demo --extra test --extra judge -o tests/requirements-judge.txt pyproject.toml
	printf '%s\n' $(NATIVE) | $(COMPILE) -o native-requirements.txt -

# The form, built from clients/js into what the service serves; tests/form/test_package.py tells whether that was done.
JS = clients/js

form:
	@npm --prefix $(JS) ci --silent --ignore-scripts --no-audit --no-fund
	@cd $(JS) && npm run --silent build && \
	  OTP_FORM_FOLDER=../../otp_service/http/pages/form/$$(node -p 'require("./package.json").version') node build.mjs

# The human check's widget, copied from its npm package. To update: change WIDGET, `make widget`, look at the diff.
WIDGET = 3.2.2
VENDORED = otp_service/http/pages/altcha
UNPACK = npm pack --silent --pack-destination "$$folder" altcha@$(WIDGET) >/dev/null && \
  tar -xzf "$$folder"/altcha-$(WIDGET).tgz -C "$$folder" --strip-components=1 && \
  cp "$$folder"/dist/main/altcha.min.js "$$folder"/LICENSE.txt

widget:
	@folder=$$(mktemp -d) && $(UNPACK) $(VENDORED)/ && rm -r "$$folder"
	@cd $(VENDORED) && { echo "# altcha@$(WIDGET), by make widget"; sha256sum altcha.min.js LICENSE.txt; } > SHA256SUMS

widget-check:
	@folder=$$(mktemp -d) && mkdir "$$folder"/found && $(UNPACK) "$$folder"/found && \
	  (cd "$$folder"/found && sha256sum --check --strict --quiet) < $(VENDORED)/SHA256SUMS && rm -r "$$folder"
	@cd $(VENDORED) && sha256sum --check --strict --quiet SHA256SUMS

# The release of the version that is checked out: `make release KEY=~/.ssh/id_ed25519` signs it with that key.
release: $(VENV)/.test
	@test -n "$(KEY)" || { echo "Which key signs it? make release KEY=~/.ssh/id_ed25519"; exit 1; }
	@$(VENV)/bin/python -m tests.release --key "$(KEY)"

clean:
	rm -rf $(VENV) var mutants .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
