/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  The text of a value into a datum, without ever raising an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_CONVERT_H
#define WEIR_CONVERT_H

#include "base/compat.h"
#include "fmgr.h"
#include "source/stream.h"

/* What a conversion gives; anything else is an SQLSTATE. */
#define WEIR_CONVERT_DONE		0
#define WEIR_CONVERT_PUT_OFF	(-1)	/* the input function must decide */

struct WeirConversion;

/*
 * Convert a text, in the current memory context.  The text is valid UTF-8
 * without a zero byte, and not terminated.
 */
typedef int (*WeirConvert) (struct WeirConversion *conversion,
							const char *text, size_t len, Datum *result);

/* How one column is decoded. */
typedef struct WeirConversion
{
	WeirStream *stream;
	AttrNumber	attnum;
	WeirMetadata metadata;
	WeirUnit	unit;
	int			field;			/* index into the scan's result, or -1 */
	Oid			type;
	int32		typmod;
	bool		whole_json;		/* json, jsonb: convert the JSON text itself */
	bool		domain;			/* NULL is for the input function, too */
	bool		guarded;		/* a record without it is bad */
	WeirConvert convert;
	FmgrInfo	input;
	Oid			ioparam;
} WeirConversion;

/* The conversion to a type. */
extern WeirConvert weir_convert_find(Oid type);

#endif							/* WEIR_CONVERT_H */
