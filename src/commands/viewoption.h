/*-------------------------------------------------------------------------
 *
 * viewoption.h
 *	  Options of a continuous view: weir.start, weir.emit, ...
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_VIEWOPTION_H
#define WEIR_VIEWOPTION_H

#include "base/compat.h"
#include "nodes/parsenodes.h"

typedef struct WeirViewOptions
{
	char	   *start;
	char	   *emit;
	int64		lateness;		/* microseconds */
	char	   *on_late;
	char	   *retention;		/* interval text, or NULL */
} WeirViewOptions;

/* Does a list of DefElems have one in namespace weir? */
extern bool weir_view_options_present(List *options);

/* The defaults. */
extern void weir_view_options_init(WeirViewOptions *options);

/*
 * Take one option over.  Raises INVALID_PARAMETER_VALUE for a value, with a
 * hint that lists the valid ones, and for an unknown name.  alter: only what
 * can be changed later is allowed.  Needs a transaction (types' input
 * functions).
 */
extern void weir_view_option_set(WeirViewOptions *options, const char *name,
								 const char *value, bool alter);

/* All DefElems of a WITH or SET clause, by weir_view_option_set. */
extern void weir_view_options_read(WeirViewOptions *options, List *elements,
								   bool alter);

/* RESET: back to the default. */
extern void weir_view_option_reset(WeirViewOptions *options,
								   const char *name);

#endif							/* WEIR_VIEWOPTION_H */
