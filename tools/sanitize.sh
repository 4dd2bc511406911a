# sanitize.sh - sourced by the sanitizer stages.
#
#   sanitize_build FOLDER SANITIZERS    a clang build with failpoints; warnings do not stop it
#   sanitize_reports FOLDER             prints and fails on any report that a process left there
#   $fixed_addresses COMMAND            without address randomisation, where the kernel allows it: the shadow
#                                       memory of these sanitizers cannot live beside a widely randomised map

fixed_addresses=
if setarch "$(uname -m)" -R true 2>/dev/null; then
	fixed_addresses="setarch $(uname -m) -R"
fi

sanitize_build() {
	for sanitize_target in '' unit; do
		# shellcheck disable=SC2086
		CC=clang tools/build "$1" $sanitize_target -- -Db_sanitize="$2" -Db_lundef=false -Doptimization=1 \
			-Dwerror=false -Dfailpoints=true
	done
}

sanitize_reports() {
	set -- "$1"/*
	[ -e "$1" ] || return 0
	for sanitize_report in "$@"; do
		echo "-- $sanitize_report"
		head -n 80 "$sanitize_report"
	done
	echo "sanitizer: $# report(s)" >&2
	return 1
}
