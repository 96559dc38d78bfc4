#!/bin/sh
# Makes the root file systems of this stack from Debian's packages:
#
#   rootfs/nginx  rootfs/app  rootfs/postgres  rootfs/redis
#
# and a random password in secrets/db_password. Each root holds one program, the
# libraries it needs and busybox. Packages are unpacked, not installed: maintainer
# scripts do not run, so what they would do (users, directories) is done here.
#
# What is there already is kept; --refresh makes it anew with today's packages.
# Needs root, a Debian-like machine and its package mirror.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=$here/rootfs
debs=$out/.debs

# In every root: a shell and the small tools for scripts and health checks.
base="base-files busybox-static"

# Dependencies that only maintainer scripts, logins or plugins we do not use need.
unneeded='adduser|debconf|dpkg|tar|passwd|usrmerge|init-system-helpers|sysvinit-utils|lsb-base'
unneeded="$unneeded|perl.*|lib.*-perl|libperl.*|libgdbm.*|libdb5.*|libsemanage.*|libsepol.*|libaudit-common|libpam-modules.*|libpam-runtime"
unneeded="$unneeded|ucf|sensible-utils|ssl-cert|openssl|netbase|locales|libc-l10n|libc-bin|readline-common|gcc-.*-base"
unneeded="$unneeded|postgresql|postgresql-common|postgresql-client-common|libllvm.*|libz3-.*"
unneeded="$unneeded|iproute2|libbpf.*|libelf.*|libmnl0|libxtables12|libcap2-bin|mawk|gawk|original-awk"

packages() {
	case $1 in
	nginx) echo nginx ;;
	app) echo python3-minimal python3-psycopg2 python3-redis ;;
	postgres) echo postgresql ;;
	redis) echo redis-server redis-tools ;;
	esac
}

main() {
	make_secret
	todo=
	for name in nginx app postgres redis; do
		if [ "${1-}" != --refresh ] && [ "$(cat "$out/$name.stamp" 2>/dev/null)" = "$(stamp)" ]; then
			echo "rootfs/$name is there"
		else
			todo="$todo $name"
		fi
	done
	[ -n "$todo" ] || exit 0
	[ "$(id -u)" = 0 ] || fail "run this as root: the files belong to several users"
	for tool in apt-get dpkg; do
		command -v $tool >/dev/null || fail "there is no $tool: this script needs a Debian-like machine"
	done
	mkdir -p "$debs"
	resolve_all
	if ! download "$todo"; then
		echo "the package lists may be old, updating them"
		apt-get update -qq || true
		resolve_all
		download "$todo" || fail "the download failed"
	fi
	for name in $todo; do
		(build "$name") &
		eval "job_$name=$!"
	done
	for name in $todo; do
		eval "wait \$job_$name" || fail "cannot make rootfs/$name"
	done
}

resolve_all() {
	for name in $todo; do
		closure "$name" >"$debs/$name.list"
	done
}

fail() {
	echo "mkrootfs.sh: $*" >&2
	exit 1
}

# stamp changes with this script.
stamp() { sha256sum <"$here/mkrootfs.sh"; }

make_secret() {
	[ -s "$here/secrets/db_password" ] && return
	mkdir -p "$here/secrets"
	(umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$here/secrets/db_password")
	echo "made a random password in secrets/db_password"
}

# closure prints "package=version" of everything that a root needs, as apt resolves
# it for a machine on which nothing is installed.
closure() {
	# shellcheck disable=SC2046
	set -- $(packages "$1") $base
	if ! resolve "$@" >"$debs/resolved" 2>"$debs/errors"; then
		echo "updating the package lists" >&2
		apt-get update -qq >&2 || true
		resolve "$@" >"$debs/resolved" 2>"$debs/errors" || fail "apt cannot resolve $*: $(cat "$debs/errors")"
	fi
	awk '$1 == "Inst" { gsub(/[(\[]/, "", $3); print $2 "=" $3 }' "$debs/resolved" |
		grep -vE "^($unneeded)="
}

resolve() {
	apt-get --simulate -o Dir::State::status=/dev/null -o APT::Install-Recommends=false install "$@"
}

download() {
	list=$(for name in $1; do cat "$debs/$name.list"; done | sort -u)
	missing=
	for p in $list; do
		[ -s "$(deb "$p")" ] || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086
	set -- $missing
	echo "downloading $# packages"
	(cd "$debs" && apt-get -qq -o APT::Sandbox::User=root download "$@")
}

# deb names a package's file as apt does: a colon of the version is escaped.
deb() {
	name=${1%%=*} version=$(echo "${1#*=}" | sed 's/:/%3a/g')
	for file in "$debs/${name}_${version}_"*.deb; do
		echo "$file"
	done
}

# build makes one root beside its place and then moves it there.
build() {
	name=$1 new=$out/.$1.new
	rm -rf "$new"
	mkdir -p "$new/usr"
	for dir in bin sbin lib lib64; do
		mkdir -p "$new/usr/$dir"
		ln -s usr/$dir "$new/$dir"
	done
	while read -r p; do
		# Not dpkg -x, which would replace the links by directories.
		dpkg-deb --fsys-tarfile "$(deb "$p")" | tar -x --keep-directory-symlink -C "$new"
	done <"$debs/$name.list"
	rm -rf "$new/usr/share/doc" "$new/usr/share/man" "$new/usr/share/locale" "$new/usr/share/lintian" "$new/var/log"/*
	skeleton "$new"
	applets "$new"
	"finish_$name" "$new"
	"check_$name" "$new" >/dev/null
	rm -rf "${out:?}/$name"
	mv "$new" "$out/$name"
	stamp >"$out/$name.stamp"
	echo "made rootfs/$name ($(wc -l <"$debs/$name.list") packages, $(du -sm "$out/$name" | cut -f1) MB)"
}

skeleton() {
	for dir in dev proc sys run tmp root home etc var/lib var/log var/cache var/tmp; do
		mkdir -p "$1/$dir"
	done
	chmod 1777 "$1/tmp" "$1/var/tmp"
	chmod 0700 "$1/root"
	rm -rf "$1/var/run"
	ln -s /run "$1/var/run"
	cat >"$1/etc/passwd" <<-END
		root:x:0:0:root:/root:/bin/sh
		www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
		nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
	END
	cat >"$1/etc/group" <<-END
		root:x:0:
		www-data:x:33:
		nogroup:x:65534:
	END
	printf 'hosts: files dns\n' >"$1/etc/nsswitch.conf"
	for file in hosts hostname resolv.conf; do # mount targets of a read-only root
		: >"$1/etc/$file"
	done
}

# applets links busybox's tools where no package brought the real ones; never a
# name to itself.
applets() {
	for applet in $("$1/bin/busybox" --list); do
		[ "$applet" = busybox ] || [ -e "$1/usr/bin/$applet" ] || [ -e "$1/usr/sbin/$applet" ] ||
			ln -s busybox "$1/usr/bin/$applet"
	done
}

# account ROOT NAME ID HOME adds a system user, as the package's script would.
account() {
	echo "$2:x:$3:$3::$4:/usr/sbin/nologin" >>"$1/etc/passwd"
	echo "$2:x:$3:" >>"$1/etc/group"
	mkdir -p "$1$4"
	chown "$3:$3" "$1$4"
	chmod 0700 "$1$4"
}

finish_nginx() {
	rm -rf "$1/etc/nginx/sites-enabled" "$1/etc/nginx/sites-available"
}

finish_app() { :; }

finish_postgres() {
	account "$1" postgres 101 /var/lib/postgresql
	# A path without the version number in it.
	(cd "$1/usr/lib/postgresql" && ln -s [0-9]*/bin bin)
}

finish_redis() {
	account "$1" redis 102 /var/lib/redis
}

# The programs must start: a missing library is noticed here.
check_nginx() { chroot "$1" /usr/sbin/nginx -v 2>&1; }
# The import also leaves compiled modules behind, which a read-only root could not.
check_app() { chroot "$1" /usr/bin/python3 -c 'import http.server, json, psycopg2, redis'; }
check_postgres() {
	for program in postgres initdb pg_isready psql; do
		chroot "$1" /usr/lib/postgresql/bin/$program --version
	done
}
check_redis() { chroot "$1" /usr/bin/redis-server --version && chroot "$1" /usr/bin/redis-cli --version; }

main "$@"
