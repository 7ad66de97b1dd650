/*-------------------------------------------------------------------------
 *
 * error.c
 *	  Which errors are whose fault, and how one is caught.
 *
 * The classes are those of the SQLSTATE, so that an error of a user's own
 * function is judged like one of the server.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "access/xact.h"
#include "base/error.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

static ErrorData *leave_failed(MemoryContext context, ResourceOwner owner);

/*
 * Class of an error code.
 */
WeirErrorClass
weir_error_class(int sqlerrcode)
{
	if (sqlerrcode == ERRCODE_WEIR_LOG_UNTRUSTED ||
		sqlerrcode == ERRCODE_WEIR_BAD_RECORD)
		return WEIR_ERROR_LOG;
	if (sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION)
		return WEIR_ERROR_RETRY;

	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case MAKE_SQLSTATE('2', '1', '0', '0', '0'):
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'):
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '4', '0', '0', '0'):
			return WEIR_ERROR_RECORD;
		case MAKE_SQLSTATE('0', '8', '0', '0', '0'):
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '5', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):
			return WEIR_ERROR_RETRY;
		default:
			return WEIR_ERROR_VIEW;
	}
}

/*
 * Call work(arg) in an internal subtransaction; see error.h.
 */
ErrorData *
weir_try(WeirWork work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);

	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = leave_failed(context, owner);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	/* Whoever asked this process to stop does not mean this work only. */
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error;
}

/*
 * The characters of a SQLSTATE, valid until the next call.
 */
const char *
weir_sqlstate(int sqlerrcode)
{
	return unpack_sql_state(sqlerrcode);
}

/*
 * Take the error out of the error stack and roll its subtransaction back.
 */
static ErrorData *
leave_failed(MemoryContext context, ResourceOwner owner)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}
