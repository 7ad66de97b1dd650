/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  The extension's tables as C structs.  Table and column names appear in
 *	  catalog/ and in the install script only.
 *
 * All functions need a transaction.  They read and write as the extension's
 * owner would, whatever user is current; what they read is as it is now, not
 * as a snapshot of the caller has it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_CATALOG_H
#define WEIR_CATALOG_H

#include "base/compat.h"
#include "catalog/table.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#define WEIR_SEGMENTS	8

/* The state table's name in SQL; its columns: see WeirViewState. */
#define WEIR_VIEW_STATE_SQL	"weir.view_state"

/* Status of a view, DESIGN 3.5. */
typedef enum WeirStatus
{
	WEIR_QUEUED,
	WEIR_CATCHING_UP,
	WEIR_RUNNING,
	WEIR_PAUSED,
	WEIR_FAILED,
	WEIR_CLOSE_FAILED,
	WEIR_STOPPED
} WeirStatus;

/* A row of weir.view. */
typedef struct WeirView
{
	Oid			view;
	Oid			stream;
	Oid			query;
	Oid			closed;
	Oid			segments[WEIR_SEGMENTS];
	char	   *start;			/* as given: earliest, latest, timestamp, JSON */
	char	   *emit;			/* changes, final */
	int64		lateness;		/* microseconds */
	char	   *on_late;		/* store, count */
	char	   *retention;		/* interval text or NULL */
	List	   *settings;		/* "name=value" strings */
	WeirStatus	status;
	char	   *error;			/* of the last failure, or NULL */
	char	   *error_sqlstate;
	TimestampTz error_at;		/* 0: none */
	TimestampTz status_since;
	char	   *status_by;		/* who set it, NULL: a worker */
	bool		armed;			/* weir.armed has its row, and it is ours */
	Oid			owner;			/* of the view, from pg_class */
} WeirView;

/* The state row of a view. */
typedef struct WeirViewState
{
	TimestampTz closed_to;		/* DT_NOBEGIN at first */
	TimestampTz closed_before;
	int			nlive;
	int			live[WEIR_SEGMENTS];
	int64		groups;
} WeirViewState;

/*
 * weir.view.  A row whose relation is gone counts as missing.  get: NULL if
 * there is no such row and missing_ok, else it raises.  set_status writes
 * the error, or removes the last one if it is NULL.  delete finds nothing to
 * do where the tables are gone too.
 */
extern WeirView *weir_view_get(Oid view, bool missing_ok);
extern List *weir_view_list(void);	/* all, ordered by oid */
extern List *weir_view_list_of_stream(Oid stream);
extern void weir_view_insert(const WeirView *view);
extern void weir_view_update_options(const WeirView *view);
extern void weir_view_set_status(Oid view, WeirStatus status,
								 const ErrorData *error);
extern bool weir_view_stopped_by_record(const WeirView *view);
extern void weir_view_delete(Oid view); /* and every row that names it */
extern const char *weir_status_name(WeirStatus status);

/* Is this the very database of the very cluster?  A copy of it is not. */
extern bool weir_catalog_is_here(uint64 system_identifier, Oid database);

/* weir.armed: the view may run in this very database. */
extern void weir_view_arm(Oid view);
extern void weir_view_disarm(Oid view);

/*
 * The view's lock: a heavyweight lock of our own on its oid that readers of
 * the view never meet.  SHARE for flush, EXCLUSIVE for close, compaction and
 * commands; held to the end of the transaction.  Conditional: false if not
 * to be had at once; then the view itself is locked too, against a DROP that
 * would go on to what lies behind it while we do (I9).  The state row must be
 * read with a snapshot taken after it (I5).
 */
extern bool weir_view_lock(Oid view, LOCKMODE mode, bool conditional);

/* weir.view_state; get raises if the row is missing. */
extern void weir_view_state_get(Oid closed, WeirViewState *state);

/*
 * Prune the page of the state row as any read does, then mark in listed[]
 * the segments that some version of the row which is left lists, whoever may
 * see that version.
 */
extern void weir_view_state_versions(Oid closed, bool *listed);
extern void weir_view_state_insert(Oid closed, const WeirViewState *state);
extern void weir_view_state_update(Oid closed, const WeirViewState *state);

/* weir.exception.  partition, offset < 0 and from, to DT_NOBEGIN: NULL. */
extern void weir_exception_insert(Oid view, int32 partition, int64 offset,
								  const char *kind, TimestampTz from,
								  TimestampTz to);

/* weir.trimmed: what is not there any more, of each view. */
typedef enum WeirTrimmedKind
{
	WEIR_TRIMMED_CLOSED,		/* closed rows, by weir.retention */
	WEIR_TRIMMED_LATE_EVENTS,	/* by age */
	WEIR_TRIMMED_DEAD_LETTERS,	/* by age */
	WEIR_UNSTORED_LATE_EVENTS	/* beyond weir.max_late_events */
} WeirTrimmedKind;

typedef struct WeirTrimmed
{
	int64		rows;			/* so far */
	TimestampTz up_to;			/* windows ending by it are concerned; of dead
								 * letters the newest time of writing */
	TimestampTz at;				/* last */
} WeirTrimmed;

/* get: false if nothing was trimmed.  add does nothing for 0 rows. */
extern const char *weir_trimmed_name(WeirTrimmedKind kind);
extern bool weir_trimmed_get(Oid view, WeirTrimmedKind kind,
							 WeirTrimmed *trimmed);
extern void weir_trimmed_add(Oid view, WeirTrimmedKind kind, int64 rows,
							 TimestampTz up_to);

/* Is there a row of this kind for the partition at this offset? */
extern bool weir_exception_exists(Oid view, int32 partition, int64 offset,
								  const char *kind);

/*
 * A row of this kind for the whole view that ends at from ends at to now.
 * False if there is none.
 */
extern bool weir_exception_extend(Oid view, const char *kind,
								  TimestampTz from, TimestampTz to);

/*
 * The kind of the row for the whole view that ends at to, and when it was
 * written; NULL if there is none.
 */
extern char *weir_exception_kind(Oid view, TimestampTz to, TimestampTz *at);

/* weir.producer */
typedef struct WeirProducer
{
	char	   *name;
	Oid			owner;
	char	   *source;			/* a query, or a relation's name */
	Oid			target;			/* stream */
	double		rate;			/* messages a second; 0 = as fast as it goes */
	List	   *settings;
	bool		enabled;		/* and started in this very database */
	int64		produced;		/* rows of the source delivered so far */
	char	   *error;			/* of the last failure, or NULL */
} WeirProducer;

extern WeirProducer *weir_producer_get(const char *name, bool missing_ok);
extern List *weir_producer_list(void);
extern void weir_producer_insert(const WeirProducer *producer);
extern void weir_producer_set_enabled(const char *name, bool enabled);
extern void weir_producer_set_produced(const char *name, int64 produced);
extern void weir_producer_set_error(const char *name, const char *error);
extern void weir_producer_delete(const char *name);

#endif							/* WEIR_CATALOG_H */
