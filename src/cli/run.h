// SPDX-License-Identifier: Apache-2.0
/*
 * The functions behind the commands; see struct cli_command.run. What each does is said in commands.c.
 */
#pragma once

struct cli;
struct cli_arguments;

/* run_session.c */
int cli_run_login(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_logout(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_version(struct cli *cli, const struct cli_arguments *arguments);

/* run_vm.c */
int cli_run_vm_list(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_show(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_register(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_screenshot(struct cli *cli, const struct cli_arguments *arguments);

/* run_vm_create.c */
int cli_run_vm_create(struct cli *cli, const struct cli_arguments *arguments);

/* run_vm_power.c */
int cli_run_vm_start(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_stop(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_shutdown(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_reset(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_suspend(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_resume(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_destroy(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_vm_unregister(struct cli *cli, const struct cli_arguments *arguments);

/* run_vm_console.c */
int cli_run_vm_console(struct cli *cli, const struct cli_arguments *arguments);

/* run_snapshot.c */
int cli_run_snapshot_create(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_snapshot_list(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_snapshot_revert(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_snapshot_remove(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_snapshot_rename(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_snapshot_consolidate(struct cli *cli, const struct cli_arguments *arguments);

/* run_host.c */
int cli_run_host_show(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_task_list(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_event_list(struct cli *cli, const struct cli_arguments *arguments);

/* run_host_power.c */
int cli_run_host_maintenance_enter(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_maintenance_exit(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_reboot(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_shutdown(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_autostart_list(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_autostart_set(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_autostart_remove(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_autostart_defaults(struct cli *cli, const struct cli_arguments *arguments);

/* run_host_services.c */
int cli_run_host_services(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_health(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_option_list(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_host_option_set(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_license_list(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_license_add(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_license_remove(struct cli *cli, const struct cli_arguments *arguments);

/* run_datastore.c */
int cli_run_datastore_list(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_datastore_add(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_datastore_rename(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_datastore_remove(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_datastore_ls(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_datastore_put(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_datastore_get(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_datastore_mkdir(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_datastore_rm(struct cli *cli, const struct cli_arguments *arguments);

/* run_disk.c */
int cli_run_disk_create(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_disk_show(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_disk_copy(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_disk_grow(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_disk_inflate(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_disk_shrink(struct cli *cli, const struct cli_arguments *arguments);
int cli_run_disk_rm(struct cli *cli, const struct cli_arguments *arguments);

/* help.c */
int cli_run_help(struct cli *cli, const struct cli_arguments *arguments);
