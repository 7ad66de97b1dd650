/*-------------------------------------------------------------------------
 *
 * error.h
 *	  Which errors are whose fault, and how one is caught.
 *
 *-------------------------------------------------------------------------
 */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#include "base/compat.h"

/* The log can no longer be trusted: a view that meets this is stopped. */
#define ERRCODE_WEIR_LOG_UNTRUSTED	MAKE_SQLSTATE('W', 'E', '0', '0', '1')

/* A bad record, and the stream's on_error is stop: the same, until resumed. */
#define ERRCODE_WEIR_BAD_RECORD		MAKE_SQLSTATE('W', 'E', '0', '0', '2')

typedef enum WeirErrorClass
{
	WEIR_ERROR_RECORD,			/* 21, 22, 23, 54: the record's own fault */
	WEIR_ERROR_RETRY,			/* 08, 25006, 40, 53, 55, 57, 58: may heal */
	WEIR_ERROR_LOG,				/* WE: the log cannot be trusted, a bad record */
	WEIR_ERROR_VIEW				/* all else: the view's fault */
} WeirErrorClass;

extern WeirErrorClass weir_error_class(int sqlerrcode);

/*
 * Call work(arg) inside an internal subtransaction.  Returns NULL if it
 * returned; its effects stay.  If it raised an ERROR, the subtransaction is
 * rolled back and the error is returned, copied into the memory context that
 * was current at the call.  Memory context, resource owner and user id are
 * as they were.  Query cancel and process termination are raised again.
 * Needs a transaction.
 */
typedef void (*WeirWork) (void *arg);
extern ErrorData *weir_try(WeirWork work, void *arg);

/* The five characters of a SQLSTATE, in a static buffer. */
extern const char *weir_sqlstate(int sqlerrcode);

#endif							/* WEIR_ERROR_H */
