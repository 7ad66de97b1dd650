/*-------------------------------------------------------------------------
 *
 * form.h
 *	  Column values of the extension's tables from C values, and back.
 *
 * Results are in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_FORM_H
#define WEIR_FORM_H

#include "base/compat.h"
#include "nodes/pg_list.h"

/* text[] of C strings */
extern Datum weir_form_strings(List *strings);
extern List *weir_deform_strings(Datum array);

/* interval of exact time, in microseconds; a day is 24 hours */
extern Datum weir_form_exact(int64 microseconds);
extern int64 weir_deform_exact(Datum interval);

/* interval as text, written the same way under any IntervalStyle */
extern Datum weir_form_interval(const char *string);
extern char *weir_deform_interval(Datum interval);

#endif							/* WEIR_FORM_H */
