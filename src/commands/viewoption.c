/*-------------------------------------------------------------------------
 *
 * viewoption.c
 *	  Options of a continuous view: weir.start, weir.emit, ...
 *
 * Values are kept in a form that means the same under any setting of a
 * session: a timestamp has its zone, an interval is written out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/error.h"
#include "commands/defrem.h"
#include "commands/viewoption.h"
#include "fmgr.h"
#include "source/option.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "window/start.h"

#define NAMESPACE	"weir"

typedef void (*SetOption) (WeirViewOptions *options, const char *name,
						   const char *value);

typedef struct ViewOption
{
	const char *name;
	bool		alterable;
	SetOption	set;
	const char *initial;		/* NULL: none */
} ViewOption;

static void
pg_attribute_noreturn()
raise_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s.%s\": \"%s\"", NAMESPACE,
					name, value),
			 errhint("%s", hint)));
}

typedef struct StartWork
{
	const char *value;
	WeirStart  *start;
} StartWork;

static void
parse_start(void *arg)
{
	StartWork  *work = (StartWork *) arg;

	work->start = weir_start_parse(work->value);
}

/* earliest, latest, offsets per partition, or a timestamp. */
static void
set_start(WeirViewOptions *options, const char *name, const char *value)
{
	StartWork	work = {.value = value};
	ErrorData  *error = weir_try(parse_start, &work);
	WeirStart  *start = work.start;

	if (error != NULL &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
		ReThrowError(error);
	if (error != NULL)
		raise_value(name, value,
					"Valid values are earliest, latest, a timestamp such as '2026-01-31 12:00:00+00', and offsets per partition such as '{\"0\": 17, \"1\": 4}'.");
	options->start = pstrdup(start->kind == WEIR_START_EARLIEST ? "earliest" :
							 start->kind == WEIR_START_LATEST ? "latest" :
							 start->kind == WEIR_START_OFFSETS ? value :
							 timestamptz_to_str(start->timestamp));
}

static void
set_emit(WeirViewOptions *options, const char *name, const char *value)
{
	if (strcmp(value, "changes") != 0 && strcmp(value, "final") != 0)
		raise_value(name, value, "Valid values are changes and final.");
	options->emit = pstrdup(value);
}

static void
set_lateness(WeirViewOptions *options, const char *name, const char *value)
{
	options->lateness = weir_option_microseconds("weir.lateness", value,
												 false);
}

static void
set_on_late(WeirViewOptions *options, const char *name, const char *value)
{
	if (strcmp(value, "store") != 0 && strcmp(value, "count") != 0)
		raise_value(name, value, "Valid values are store and count.");
	options->on_late = pstrdup(value);
}

static void
set_retention(WeirViewOptions *options, const char *name, const char *value)
{
	Interval   *interval;

	options->retention = NULL;
	if (value == NULL || strcmp(value, "none") == 0)
		return;
	interval = DatumGetIntervalP(DirectFunctionCall3(interval_in,
													 CStringGetDatum(value),
													 ObjectIdGetDatum(InvalidOid),
													 Int32GetDatum(-1)));
	if (interval->month < 0 || interval->day < 0 || interval->time < 0 ||
		(interval->month == 0 && interval->day == 0 && interval->time == 0))
		raise_value(name, value,
					"Valid values are none and a positive interval.");
	options->retention = pstrdup(value);
}

static void
set_sink(WeirViewOptions *options, const char *name, const char *value)
{
	if (value != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"%s.%s\" is not available yet", NAMESPACE,
						name),
				 errhint("Read closed windows from the view, or put a trigger on the table that weir.closed() names.")));
}

static const ViewOption view_options[] = {
	{"start", false, set_start, "earliest"},
	{"emit", true, set_emit, "changes"},
	{"lateness", false, set_lateness, "0"},
	{"on_late", true, set_on_late, "store"},
	{"retention", true, set_retention, NULL},
	{"sink", true, set_sink, NULL},
};

static const char alterable_hint[] =
"Options that can be changed are weir.emit, weir.on_late and weir.retention.";

/* The description of an option; raises for an unknown one. */
static const ViewOption *
find_option(const char *name, bool alter)
{
	for (int i = 0; i < lengthof(view_options); i++)
	{
		if (strcmp(view_options[i].name, name) != 0)
			continue;
		if (alter && !view_options[i].alterable)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s.%s\" cannot be changed", NAMESPACE,
							name),
					 errhint("%s", alterable_hint)));
		return &view_options[i];
	}
	if (alter && strcmp(name, "continuous") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s.%s\" cannot be changed", NAMESPACE, name),
				 errhint("weir.pause() stops the view, DROP MATERIALIZED VIEW removes it.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized option \"%s.%s\"", NAMESPACE, name),
			 alter ? errhint("%s", alterable_hint) :
			 errhint("Valid options are weir.continuous, weir.start, weir.emit, weir.lateness, weir.on_late and weir.retention.")));
}

/* Is this element one of ours? */
static bool
is_ours(DefElem *element)
{
	return element->defnamespace != NULL &&
		strcmp(element->defnamespace, NAMESPACE) == 0;
}

bool
weir_view_options_present(List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		if (is_ours(lfirst_node(DefElem, lc)))
			return true;
	}
	return false;
}

void
weir_view_options_init(WeirViewOptions *options)
{
	memset(options, 0, sizeof(WeirViewOptions));
	for (int i = 0; i < lengthof(view_options); i++)
		view_options[i].set(options, view_options[i].name,
							view_options[i].initial);
}

void
weir_view_option_set(WeirViewOptions *options, const char *name,
					 const char *value, bool alter)
{
	find_option(name, alter)->set(options, name, value);
}

void
weir_view_option_reset(WeirViewOptions *options, const char *name)
{
	const ViewOption *option = find_option(name, true);

	option->set(options, name, option->initial);
}

void
weir_view_options_read(WeirViewOptions *options, List *elements, bool alter)
{
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, elements)
	{
		DefElem    *element = lfirst_node(DefElem, lc);

		if (!is_ours(element))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("option \"%s\" is not supported for a continuous view",
							element->defname),
					 errhint("Set storage options on the table that weir.closed() names.")));
		if (list_member(seen, makeString(element->defname)))
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("option \"%s.%s\" specified more than once",
							NAMESPACE, element->defname)));
		seen = lappend(seen, makeString(element->defname));
		if (strcmp(element->defname, "continuous") == 0 && !alter)
		{
			if (!defGetBoolean(element))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("weir.continuous cannot be false beside other options of pg_weir"),
						 errhint("Leave all weir. options out to create an ordinary materialized view.")));
			continue;
		}
		(void) find_option(element->defname, alter);
		if (element->arg == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("option \"%s.%s\" requires a value", NAMESPACE,
							element->defname)));
		weir_view_option_set(options, element->defname, defGetString(element),
							 alter);
	}
}
