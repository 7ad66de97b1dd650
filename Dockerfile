# PostgreSQL with pg_weir, pg_cron and pgTAP: docs/containers.md.
#
#	docker build -t pg_weir .
#
# SUITE is the Debian release and PG the PostgreSQL that it has: bookworm 15,
# trixie 17 (which pg_weir does not support yet).

ARG SUITE=bookworm

# The server's headers come without what their package depends on: clang and
# LLVM, a gigabyte, would make bitcode that is not asked for.
FROM debian:${SUITE}-slim AS build
ARG PG=15
WORKDIR /src
RUN apt-get update \
	&& apt-get install -y --no-install-recommends \
		gcc libc6-dev libpq-dev librdkafka-dev make "postgresql-client-${PG}" \
	&& apt-get download "postgresql-server-dev-${PG}" \
	&& dpkg -x postgresql-server-dev-*.deb / \
	&& rm postgresql-server-dev-*.deb
COPY Makefile ./
COPY control control
COPY src src
RUN pg_config="/usr/lib/postgresql/${PG}/bin/pg_config" \
	&& make -j "$(nproc)" with_llvm=no "PG_CONFIG=$pg_config" \
	&& make with_llvm=no "PG_CONFIG=$pg_config" DESTDIR=/out install

FROM debian:${SUITE}-slim
ARG PG=15

# The user has the ids that it has in the images called postgres, so that a
# volume may come from there; and no cluster is made while packages are
# installed.
RUN groupadd --system --gid 999 postgres \
	&& useradd --system --uid 999 --gid postgres --shell /bin/bash \
		--home-dir /var/lib/postgresql postgres \
	&& mkdir -p /etc/postgresql-common \
	&& echo 'create_main_cluster = false' \
		>/etc/postgresql-common/createcluster.conf \
	&& apt-get update \
	&& apt-get install -y --no-install-recommends \
		ca-certificates librdkafka1 "postgresql-${PG}" "postgresql-${PG}-cron" \
		"postgresql-${PG}-pgtap" \
	&& rm -rf /var/lib/apt/lists/* \
	&& install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data \
	&& install -d -o postgres -g postgres /run/postgresql \
	&& mkdir /docker-entrypoint-initdb.d

# What every cluster that initdb makes here begins with.
COPY docker/postgresql.conf /tmp/postgresql.conf
RUN cat /tmp/postgresql.conf \
		>>"/usr/share/postgresql/${PG}/postgresql.conf.sample" \
	&& rm /tmp/postgresql.conf
COPY docker/entrypoint /usr/local/bin/
COPY --from=build /out /

ENV LANG=C.UTF-8 \
	PATH=/usr/lib/postgresql/${PG}/bin:$PATH \
	PGDATA=/var/lib/postgresql/data
USER 999:999
VOLUME /var/lib/postgresql/data
EXPOSE 5432

# A fast shutdown: it does not wait for clients to go.
STOPSIGNAL SIGINT
ENTRYPOINT ["entrypoint"]
CMD ["postgres"]
