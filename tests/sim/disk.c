/* disk.c - the disk of a life: power that goes at any change of a file, writes that fail for a while. */
#include "db/vfs_fault.h"
#include "sim.h"

#define CHANGES_MOST 40
#define TROUBLE_STEPS_MOST 400

void sim_disk_arm(struct sim *sim)
{
	vfs_crash_at(0);
	(void)vfs_fault_plan("");
	vfs_crash_arm(sim_random_next(&sim->order));
	sim->trouble_steps = 0;
}

void sim_disk_land(void)
{
	vfs_crash_land();
	(void)vfs_fault_plan("");
}

void sim_disk_power_off(struct sim *sim)
{
	uint32_t change = sim_draw(&sim->order, CHANGES_MOST);
	if (change == 0) {
		vfs_crash_now();
	} else {
		vfs_crash_at(change);
	}
}

bool sim_disk_is_dead(void)
{
	return vfs_crash_is_dead();
}

bool sim_disk_trouble(struct sim *sim)
{
	static const char *const plans[] = {"write=full@%u+", "write=io@%u+", "sync=io@%u", "write=short@%u", "write=full@%u", "sync=io@%u+"};
	char plan[64];
	uint32_t which = sim_draw(&sim->order, sizeof(plans) / sizeof(plans[0]));
	snprintf(plan, sizeof(plan), plans[which], 1 + sim_draw(&sim->order, 30));
	if (sim->trouble_steps > 0 || !vfs_fault_plan(plan)) {
		return false;
	}
	sim->trouble_steps = 1 + (int)sim_draw(&sim->order, TROUBLE_STEPS_MOST);
	sim->troubles++;
	sim_trace(sim, "the disk: %s", plan);
	return true;
}

void sim_disk_step(struct sim *sim, bool over)
{
	if (over) {
		vfs_crash_at(0);
	}
	if (sim->trouble_steps > 0 && (--sim->trouble_steps == 0 || over)) {
		sim->trouble_steps = 0;
		sim_trace(sim, "the disk is well again, after %llu faults", (unsigned long long)vfs_fault_given());
		(void)vfs_fault_plan("");
	}
}
