# pg_weir: see README.md. `make demo` and `make test` do their whole set-up.

# PGXS appends .control, and strips the directory on install and uninstall.
EXTENSION  = control/pg_weir
MODULE_big = pg_weir
DATA       = $(wildcard control/pg_weir--*.sql)
OBJS       = $(patsubst %.c,%.o,$(wildcard src/*.c src/*/*.c))
PG_CPPFLAGS = -I$(srcdir)/src
SHLIB_LINK = -lrdkafka

# Fault points (base/fault.h) are compiled in by `make WEIR_DEBUG=1`.
ifdef WEIR_DEBUG
PG_CPPFLAGS += -DWEIR_DEBUG
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS has no dependency tracking.
$(OBJS): $(wildcard src/*.h src/*/*.h)

# All tests, or some: `make test TESTS="regress tap:010"`.  Suites and files:
# test/suites.
test:
	PG_CONFIG=$(PG_CONFIG) test/run $(TESTS)

# The pipeline of README.md, live; DEMO_SECONDS=n ends it, KAFKA=none or
# KAFKA=host:port chooses the source: test/demo/run.
demo:
	@PG_CONFIG=$(PG_CONFIG) test/demo/run

.PHONY: test demo
