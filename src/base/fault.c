/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  Fault points: named places where a test can stop, fail or kill a
 *	  process.  See fault.h.
 *
 * Passes are counted per point in the process that makes them, from the
 * moment at which the setting got its present value there.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include "base/fault.h"

char	   *weir_fault = NULL;

#ifdef WEIR_DEBUG

#include <signal.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define MAX_POINTS	64

typedef struct Passes
{
	char		point[NAMEDATALEN];
	int			n;
} Passes;

static Passes passes[MAX_POINTS];
static int	npoints = 0;

static void forget_passes(const char *newval, void *extra);
static bool find_action(const char *point, char *action, int *skip);
static int	count_pass(const char *point);
static void act(const char *point, const char *action);
static void wait_for_holder(const char *point);

/*
 * Register the setting.  From _PG_init only.
 */
void
weir_fault_init(void)
{
	DefineCustomStringVariable("weir.fault",
							   "Sets the fault points of a debug build.",
							   "A list of point:action[:skip]; actions are wait, error and kill.",
							   &weir_fault, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, forget_passes, NULL);
}

/*
 * A process has reached a point: do what the setting says.  Inside or
 * outside a transaction.  Raises 58000 for "error".
 */
void
weir_fault_reached(const char *point)
{
	char		action[NAMEDATALEN];
	int			skip;

	if (weir_fault == NULL || weir_fault[0] == '\0')
		return;
	if (!find_action(point, action, &skip))
		return;
	if (count_pass(point) <= skip)
		return;

	ereport(LOG,
			(errmsg("fault point %s reached", point),
			 errhidestmt(true)));
	act(point, action);
}

/*
 * Assign hook.  Every reload calls it, also with an unchanged value.
 */
static void
forget_passes(const char *newval, void *extra)
{
	if (weir_fault == NULL || newval == NULL ||
		strcmp(weir_fault, newval) != 0)
		npoints = 0;
}

/*
 * Look the point up in the setting.
 */
static bool
find_action(const char *point, char *action, int *skip)
{
	const char *item = weir_fault;
	size_t		length = strlen(point);

	while (item != NULL)
	{
		item += strspn(item, " ,");
		if (strncmp(item, point, length) == 0 && item[length] == ':')
		{
			size_t		n;

			item += length + 1;
			n = strcspn(item, ":, ");
			strlcpy(action, item, Min(n + 1, NAMEDATALEN));
			*skip = item[n] == ':' ? atoi(item + n + 1) : 0;
			return true;
		}
		item = strchr(item, ',');
	}
	return false;
}

/*
 * Count a pass of the point, and return how many there were.
 */
static int
count_pass(const char *point)
{
	int			i = 0;

	while (i < npoints && strcmp(passes[i].point, point) != 0)
		i++;
	if (i == MAX_POINTS)
		elog(ERROR, "too many fault points");
	if (i == npoints)
	{
		strlcpy(passes[i].point, point, NAMEDATALEN);
		passes[i].n = 0;
		npoints++;
	}
	return ++passes[i].n;
}

static void
act(const char *point, const char *action)
{
	if (strcmp(action, "wait") == 0)
		wait_for_holder(point);
	else if (strcmp(action, "kill") == 0)
		(void) kill(MyProcPid, SIGKILL);
	else if (strcmp(action, "error") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("fault point %s raised", point)));
	else
		elog(ERROR, "unrecognized action \"%s\" of fault point %s",
			 action, point);
}

/*
 * Wait until nobody holds pg_advisory_lock(hashtext(point)) in this
 * database.  A session lock, because there may be no transaction; shared, so
 * that those who wait do not meet each other.
 */
static void
wait_for_holder(const char *point)
{
	LOCKTAG		tag;
	int64		key;

	key = DatumGetInt32(hash_any((const unsigned char *) point,
								 strlen(point)));
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (key >> 32),
						 (uint32) key, 1);
	(void) LockAcquire(&tag, ShareLock, true, false);
	(void) LockRelease(&tag, ShareLock, true);
}

#else

/*
 * Fault points are not compiled in.
 */
void
weir_fault_init(void)
{
}

#endif							/* WEIR_DEBUG */
