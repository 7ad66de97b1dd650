# tools.sh: use programs and libraries that lie below the directory $1 without
# being installed.  To be read by `.`, after `set -- DIR`.

tools=$(cd "$1" && pwd)
libraries=
for directory in "$tools"/lib/*-linux-gnu* "$tools"/usr/lib/*-linux-gnu*
do
	[ ! -d "$directory" ] || libraries=$libraries:$directory
done
export PATH="$tools/bin:$tools/sbin:$tools/usr/bin:$tools/usr/sbin:$PATH"
export LD_LIBRARY_PATH="${libraries#:}"
export XTABLES_LIBDIR="${libraries##*:}/xtables"
