#!/bin/sh
# Makes the database cluster on first start, then becomes PostgreSQL.
set -eu
PATH=/usr/lib/postgresql/bin:$PATH
data=/var/lib/postgresql/data

# The cluster is made aside and renamed, so that one half made is never used.
if [ ! -d "$data" ]; then
	rm -rf "$data.new"
	initdb --pgdata="$data.new" --username=shop --pwfile=/run/secrets/db_password \
		--auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --no-locale
	echo "host all all all scram-sha-256" >>"$data.new/pg_hba.conf"
	echo "CREATE DATABASE shop;" | postgres --single -D "$data.new" postgres
	postgres --single -j -D "$data.new" shop </srv/schema.sql
	mv "$data.new" "$data"
fi

exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off
