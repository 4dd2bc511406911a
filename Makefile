# A thin front for meson and tools/; each target says what it leaves.
.PHONY: all run test check long mutants fuzz bench coverage docs install clean help
PREFIX ?= /usr/local
DESTDIR ?=
SECONDS_PER_TARGET ?= 60

all: # build/guild, build/libguild.so, build/libguild.a
	@tools/setup run
	@tools/build build

run: all # start the server on 127.0.0.1:8420 with its data in ./var
	@tools/run

test: # unit tests, then everything in tests/ through pytest
	@tools/test

check: # lint, clang, sanitizers, fuzzing, coverage, counters
	@tools/check

long: # what takes too long for the check: 20,000 losses of power, every file access failed in turn, 2,000 deaths, a soak, mutants
	@tools/long

mutants: # rules broken one at a time, each noticed by a test that names its case
	@tools/setup check
	@tools/mutants

fuzz: # every fuzz target for SECONDS_PER_TARGET seconds
	@tools/setup check
	@tools/fuzz $(SECONDS_PER_TARGET)

bench: all # figures beside those of bench/RESULTS.md
	@tools/bench

coverage: # lines reached per folder by all tests
	@tools/setup check
	@tools/coverage

docs: all # docs/api/routes.md from the rows, then links, targets and paths
	@tools/api-docs
	@tools/docs

install: all # DESTDIR= and PREFIX= say where
	@meson configure build -Dprefix=$(abspath $(PREFIX))
	@tools/build build
	@DESTDIR=$(abspath $(DESTDIR)) meson install -C build --no-rebuild --quiet

clean: # what was built, never ./var
	@rm -rf build build-*

help:
	@sed -n 's/^\([a-z]*\):.*# /make \1: /p' Makefile
