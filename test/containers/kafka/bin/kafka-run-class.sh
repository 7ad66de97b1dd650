#!/bin/sh
# As the distribution's script of this name, without its tuning.
exec java ${KAFKA_HEAP_OPTS:-} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
	-Dlog4j2.configurationFile="${KAFKA_LOG4J2:-/etc/kafka/docker/tools-log4j2.yaml}" \
	-cp '/opt/kafka/libs/*' "$@"
