# stage.sh - sourced by test and check: runs a part and prints the minutes it took.
#
#   stage NUMBER NAME COMMAND...     fails when the command does

stage() {
	stage_number=$1 stage_name=$2
	shift 2
	echo "== stage $stage_number: $stage_name"
	stage_from=$(date +%s)
	stage_rc=0
	"$@" || stage_rc=$?
	stage_took=$(($(date +%s) - stage_from))
	stage_minutes=$(((stage_took * 10 + 30) / 60))
	echo "stage $stage_number: $((stage_minutes / 10)).$((stage_minutes % 10)) min ($stage_name)"
	if [ $stage_rc != 0 ]; then
		echo "stage $stage_number: $stage_name FAILED" >&2
	fi
	return $stage_rc
}
