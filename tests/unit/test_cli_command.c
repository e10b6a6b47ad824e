// SPDX-License-Identifier: Apache-2.0
/*
 * The command table and what is made from it: command lines are sorted as the table says, mistakes are
 * named, help and completion know every command. The specification of `vm create`, and the choice of an
 * object by name.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/server.h"
#include "cli/vm_spec.h"

/* The words of a command line. */
#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static const struct cli_command *command(const char *name)
{
    g_auto(GStrv) words = g_strsplit(name, " ", -1);
    unsigned n = 0;
    const struct cli_command *found = cli_command_find(words, &n);
    g_assert_nonnull(found);
    g_assert_cmpuint(n, ==, g_strv_length(words));
    return found;
}

static void test_table(void)
{
    for (const struct cli_command *each = cli_commands; each->name != NULL; each++) {
        g_test_message("%s", each->name);
        g_assert_true(command(each->name) == each); /* no name hides another one */
        g_assert_nonnull(each->summary);
        g_assert_nonnull(each->run);
        g_assert_cmpuint(strlen(each->summary), <=, 78 - 20);
        for (const struct cli_option *option = each->options; option != NULL && option->name != NULL;
             option++) {
            g_assert_true((option->value == NULL) == (option->kind == 0));
            g_assert_cmpuint(strlen(option->help), <=, 78 - 25);
        }
    }
}

static void test_find(void)
{
    unsigned n = 9;
    g_assert_null(cli_command_find(WORDS("vm"), &n));
    g_assert_null(cli_command_find(WORDS("vm", "lst"), &n));
    g_assert_null(cli_command_find(WORDS("vm list"), &n));
    g_assert_cmpuint(n, ==, 9);
    g_assert_nonnull(cli_command_find(WORDS("vm", "list", "--json"), &n));
    g_assert_cmpuint(n, ==, 2);
}

static void test_arguments(void)
{
    struct cli_arguments arguments;
    struct cli_error error = {0};
    int code = cli_arguments_parse(command("vm create"),
                                   WORDS("--disk=8G", "--start", "web", "--disk", "1G,thin", "--cpus", "2"),
                                   &arguments, &error);
    g_assert_cmpint(code, ==, CLI_OK);
    g_assert_cmpstr(cli_word(&arguments, 0), ==, "web");
    g_assert_null(cli_word(&arguments, 1));
    g_assert_cmpuint(cli_option_all(&arguments, "disk")->len, ==, 2);
    g_assert_cmpstr(cli_option(&arguments, "disk"), ==, "1G,thin");
    g_assert_true(cli_flag(&arguments, "start"));
    g_assert_false(cli_flag(&arguments, "serial"));
    int64_t cpus = 0;
    g_assert_cmpint(cli_option_int(&arguments, "cpus", 1, 8, 1, &cpus, &error), ==, CLI_OK);
    g_assert_cmpint(cpus, ==, 2);
    g_assert_cmpint(cli_option_int(&arguments, "cpus", 4, 8, 1, &cpus, &error), ==, CLI_USAGE);
    cli_error_clear(&error);
    cli_arguments_clear(&arguments);

    code = cli_arguments_parse(command("vm show"), WORDS("--", "--json"), &arguments, &error);
    g_assert_cmpint(code, ==, CLI_OK);
    g_assert_cmpstr(cli_word(&arguments, 0), ==, "--json");
    g_assert_false(cli_flag(&arguments, "json"));
    cli_arguments_clear(&arguments);

    code = cli_arguments_parse(command("vm show"), WORDS("--help"), &arguments,
                               &error); /* NAME may be missing */
    g_assert_cmpint(code, ==, CLI_OK);
    cli_arguments_clear(&arguments);
}

static void check_usage(const char *name, char *const *words, const char *message)
{
    struct cli_arguments arguments;
    struct cli_error error = {0};
    g_assert_cmpint(cli_arguments_parse(command(name), words, &arguments, &error), ==, CLI_USAGE);
    g_assert_cmpstr(error.message, ==, message);
    cli_error_clear(&error);
}

static void test_arguments_bad(void)
{
    check_usage("vm show", WORDS("a", "b"), "\"b\" is one word too many");
    check_usage("vm show", (char *[]){NULL}, "NAME is missing");
    check_usage("vm start", (char *[]){NULL}, "NAME is missing");
    check_usage("vm list", WORDS("--jsno"), "there is no option --jsno");
    check_usage("vm list", WORDS("-x"), "there is no option -x");
    check_usage("vm list", WORDS("--json=yes"), "--json takes no value");
    check_usage("vm create", WORDS("x", "--cpus"), "--cpus needs a value: --cpus N");
    check_usage("vm create", WORDS("x", "--cpus", "1", "--cpus", "2"), "--cpus is given twice");
}

/* ---- help and completion -------------------------------------------------------------------------- */

static char *complete(char *const *words)
{
    char *text = NULL;
    size_t size = 0;
    struct cli cli = {.out = open_memstream(&text, &size), .err = stderr};
    cli_complete(&cli, words);
    fclose(cli.out);
    return text;
}

static void check_complete(char *const *words, const char *expected)
{
    char *text = complete(words);
    g_assert_cmpstr(text, ==, expected);
    free(text);
}

static void test_complete(void)
{
    check_complete(WORDS("d"), "datastore\ndisk\n");
    check_complete(WORDS("vm", "s"), "show\nstart\nstop\nshutdown\nsuspend\nscreenshot\n");
    check_complete(WORDS("vm", "create", "--f"), "--firmware\n");
    check_complete(WORDS("vm", "create", "--cpus", ""), "");
    check_complete(WORDS("login", "--ca-file", ""), ":file\n");
    check_complete(WORDS("datastore", "put", ""), ":file\n");
    check_complete(WORDS("datastore", "put", "x", ""), "");
    check_complete(WORDS("vm", "show", "--json", "web"), ""); /* not logged in: nothing, and no message */
    check_complete(WORDS("nothing", "x"), "");
}

static void test_usage(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cli_print_usage(command("vm create"), out);
    cli_print_usage(command("vm start"), out);
    cli_print_usage(command("help"), out);
    fclose(out);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i] != NULL; i++) {
        g_assert_cmpuint(strlen(lines[i]), <=, 78);
    }
    g_assert_nonnull(strstr(text, "[--disk DISK]..."));
    g_assert_nonnull(strstr(text, "\nusage: tenkyu vm start NAME...\n"));
    g_assert_true(g_str_has_suffix(text, "\nusage: tenkyu help [COMMAND]...\n"));
    free(text);
}

/* ---- choosing ------------------------------------------------------------------------------------- */

static json_object *named(const char *name, const char *id)
{
    return js_object(NULL, "ref:o", js_ref("VirtualMachine", id), "name:s", name, NULL);
}

static void test_choose(void)
{
    g_autoptr(json_object) objects = js_array(named("web", "1"), named("2", "3"), named("db", "2"),
                                              named("db", "4"), named("Mail", "5"), NULL);
    struct cli_error error = {0};
    size_t index = 99;
    g_assert_cmpint(cli_choose(objects, "virtual machine", "web", &index, &error), ==, CLI_OK);
    g_assert_cmpuint(index, ==, 0);
    g_assert_cmpint(cli_choose(objects, "virtual machine", "2", &index, &error), ==, CLI_OK);
    g_assert_cmpuint(index, ==, 1); /* a name comes before an id */
    g_assert_cmpint(cli_choose(objects, "virtual machine", "4", &index, &error), ==, CLI_OK);
    g_assert_cmpuint(index, ==, 3);
    g_assert_cmpint(cli_choose(objects, "virtual machine", "db", &index, &error), ==, CLI_FAILED);
    g_assert_cmpstr(error.message, ==,
                    "2 virtual machines are called \"db\"; give the id instead, one of 2, 4");
    g_assert_cmpint(cli_choose(objects, "virtual machine", "mail", &index, &error), ==, CLI_NOT_FOUND);
    g_assert_cmpstr(error.message, ==, "there is no virtual machine \"mail\"; did you mean \"Mail\"?");
    g_assert_cmpint(cli_choose(objects, "virtual machine", "x", &index, &error), ==, CLI_NOT_FOUND);
    g_assert_cmpstr(error.message, ==, "there is no virtual machine \"x\"");
    cli_error_clear(&error);
}

static void test_sort(void)
{
    g_autoptr(json_object) objects = js_array(named("vm10", "1"), named("VM2", "2"), named("a", "3"), NULL);
    cli_sort(objects, "name");
    g_assert_cmpstr(js_text(json_object_array_get_idx(objects, 0), "name"), ==, "a");
    g_assert_cmpstr(js_text(json_object_array_get_idx(objects, 1), "name"), ==, "VM2");
    g_assert_cmpstr(js_text(json_object_array_get_idx(objects, 2), "name"), ==, "vm10");
}

/* ---- vm create ------------------------------------------------------------------------------------ */

/* The spec of a command line; NULL and *ret_message when it is refused. */
static json_object *spec_of(char *const *words, char **ret_message)
{
    struct cli_arguments arguments;
    struct cli_error error = {0};
    json_object *spec = NULL;
    g_assert_cmpint(cli_arguments_parse(command("vm create"), words, &arguments, &error), ==, CLI_OK);
    int code = cli_vm_spec(&arguments, "ds1", &spec, &error);
    g_assert_cmpint(code, ==, spec != NULL ? CLI_OK : CLI_USAGE);
    *ret_message = g_strdup(error.message);
    cli_error_clear(&error);
    cli_arguments_clear(&arguments);
    return spec;
}

static json_object *device(json_object *spec, size_t index)
{
    return js_at(json_object_array_get_idx(js_at(spec, "deviceChange"), index), "device");
}

static void test_spec_defaults(void)
{
    g_autofree char *message = NULL;
    g_autoptr(json_object) spec = spec_of(WORDS("web"), &message);
    g_assert_cmpstr(message, ==, NULL);
    g_assert_cmpstr(js_text(spec, "name"), ==, "web");
    g_assert_cmpstr(js_text(spec, "files.vmPathName"), ==, "[ds1]");
    g_assert_cmpint(js_int(spec, "numCPUs", 0), ==, 1);
    g_assert_cmpint(js_int(spec, "memoryMB", 0), ==, 1024);
    g_assert_cmpstr(js_text(spec, "guestId"), ==, "otherLinux64Guest");
    g_assert_cmpuint(js_length(js_at(spec, "deviceChange")), ==, 0);
    g_assert_null(js_at(spec, "firmware"));
    g_assert_cmpuint(js_length(js_at(spec, "extraConfig")), ==, 0);
}

static void test_spec_disks(void)
{
    g_autofree char *message = NULL;
    g_autoptr(json_object) spec = spec_of(
        WORDS("web", "--disk", "8G", "--disk", "1.5G,thick", "--disk", "[ds2] old/old.vmdk,nvme"), &message);
    g_assert_cmpuint(js_length(js_at(spec, "deviceChange")), ==, 5);
    g_assert_cmpstr(js_type(device(spec, 0)), ==, "ParaVirtualSCSIController");
    g_assert_cmpstr(js_text(device(spec, 0), "sharedBus"), ==, "noSharing");
    int64_t controller = js_int(device(spec, 0), "key", 0);

    g_assert_cmpint(js_int(device(spec, 1), "capacityInKB", 0), ==, 8 << 20);
    g_assert_cmpint(js_int(device(spec, 1), "capacityInBytes", 0), ==, (int64_t)8 << 30);
    g_assert_true(js_bool(device(spec, 1), "backing.thinProvisioned"));
    g_assert_cmpint(js_int(device(spec, 1), "controllerKey", 0), ==, controller);
    g_assert_cmpint(js_int(device(spec, 1), "unitNumber", -1), ==, 0);
    g_assert_cmpint(js_int(device(spec, 2), "controllerKey", 0), ==, controller);
    g_assert_cmpint(js_int(device(spec, 2), "unitNumber", -1), ==, 1);
    g_assert_false(js_bool(device(spec, 2), "backing.thinProvisioned"));

    g_assert_cmpstr(js_type(device(spec, 3)), ==, "VirtualNVMEController");
    g_assert_cmpstr(js_text(device(spec, 4), "backing.fileName"), ==, "[ds2] old/old.vmdk");
    json_object *changes = js_at(spec, "deviceChange");
    g_assert_cmpstr(js_text(json_object_array_get_idx(changes, 1), "fileOperation"), ==, "create");
    g_assert_null(js_at(json_object_array_get_idx(changes, 4), "fileOperation"));
}

/* The adapter sits at unit 7 of its own bus, and a full bus gets a second controller. */
static void test_spec_many_disks(void)
{
    char *words[36] = {(char *)"web"};
    for (unsigned i = 0; i < 17; i++) {
        words[1 + 2 * i] = (char *)"--disk";
        words[2 + 2 * i] = (char *)"1G";
    }
    g_autofree char *message = NULL;
    g_autoptr(json_object) spec = spec_of(words, &message);
    unsigned n_controllers = 0;
    for (size_t i = 0; i < js_length(js_at(spec, "deviceChange")); i++) {
        n_controllers += g_str_equal(js_type(device(spec, i)), "ParaVirtualSCSIController");
        g_assert_cmpint(js_int(device(spec, i), "unitNumber", -1), !=, 7);
        g_assert_cmpint(js_int(device(spec, i), "unitNumber", -1), <, 16);
    }
    g_assert_cmpuint(n_controllers, ==, 2);
    json_object *last = device(spec, 18);
    g_assert_cmpint(js_int(last, "unitNumber", -1), ==, 1);
    g_assert_cmpint(js_int(device(spec, 16), "busNumber", -1), ==, 1);
}

static void test_spec_other_devices(void)
{
    g_autofree char *message = NULL;
    g_autoptr(json_object) spec = spec_of(
        WORDS("web", "--cdrom", "[ds1] iso/a.iso", "--nic", "VM Network,e1000", "--nic", "lab", "--serial",
              "--firmware", "efi", "--disk", "1G", "--option", "tenkyu.append=console=ttyS0"),
        &message);
    g_assert_cmpstr(js_type(device(spec, 0)), ==, "VirtualAHCIController"); /* with efi */
    g_assert_cmpstr(js_type(device(spec, 2)), ==, "VirtualCdrom");
    g_assert_cmpint(js_int(device(spec, 2), "controllerKey", 0), ==, 200); /* every machine has it */
    g_assert_cmpstr(js_text(device(spec, 2), "backing.fileName"), ==, "[ds1] iso/a.iso");
    g_assert_true(js_bool(device(spec, 2), "connectable.startConnected"));
    g_assert_cmpstr(js_type(device(spec, 3)), ==, "VirtualE1000");
    g_assert_cmpstr(js_text(device(spec, 3), "backing.deviceName"), ==, "VM Network");
    g_assert_cmpstr(js_type(device(spec, 4)), ==, "VirtualVmxnet3");
    g_assert_cmpstr(js_type(device(spec, 5)), ==, "VirtualSerialPort");
    g_assert_cmpstr(js_text(spec, "firmware"), ==, "efi");
    json_object *option = json_object_array_get_idx(js_at(spec, "extraConfig"), 0);
    g_assert_cmpstr(js_text(option, "key"), ==, "tenkyu.append");
    g_assert_cmpstr(js_text(option, "value._value"), ==, "console=ttyS0");
}

static void test_spec_bad(void)
{
    const char *const bad[][2] = {
        {"--disk", "big"},        {"--disk", "8G,fat"}, {"--disk", "[ds] x.vmdk,thin"},
        {"--disk", ""},           {"--memory", "lots"}, {"--memory", "1K"},
        {"--cpus", "0"},          {"--cpus", "two"},    {"--nic", ",e1000"},
        {"--nic", "net,rtl8139"}, {"--cdrom", "x.iso"}, {"--cdrom", "[ds]"},
        {"--option", "novalue"},  {"--option", "=x"},   {"--firmware", "uefi"},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *message = NULL;
        json_object *spec = spec_of(WORDS("web", (char *)bad[i][0], (char *)bad[i][1]), &message);
        g_test_message("%s %s: %s", bad[i][0], bad[i][1], message);
        g_assert_null(spec);
        g_assert_nonnull(strstr(message, bad[i][0])); /* says which option is meant */
    }
}

/* ---- the remembered server ------------------------------------------------------------------------ */

static void test_server_file(void)
{
    struct cli_server loaded = {0};
    struct cli_server server = {
        .url = (char *)"https://h:1",
        .user = (char *)"root",
        .session = (char *)"secret",
        .trust = CLI_TRUST_PIN,
        .pin = (char *)"sha256//x",
    };
    g_autofree char *path = cli_server_file();
    g_assert_cmpint(cli_server_forget(), ==, 0);
    g_assert_cmpint(cli_server_load(&loaded), ==, -ENOENT);
    g_assert_cmpint(cli_server_save(&server), ==, 0);
    GStatBuf status;
    g_assert_cmpint(g_stat(path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_assert_cmpint(cli_server_load(&loaded), ==, 0);
    g_assert_cmpstr(loaded.url, ==, server.url);
    g_assert_cmpstr(loaded.session, ==, server.session);
    g_assert_cmpint(loaded.trust, ==, CLI_TRUST_PIN);
    g_assert_cmpstr(loaded.pin, ==, server.pin);
    cli_server_clear(&loaded);

    g_assert_true(g_file_set_contents(path, "{\"url\":\"https://h\",\"trust\":\"pin\"}", -1, NULL));
    g_assert_cmpint(cli_server_load(&loaded), ==,
                    -EINVAL); /* a pin that is missing must not become no check */
    g_assert_cmpint(cli_server_forget(), ==, 0);
}

int main(int argc, char **argv)
{
    /* No server is remembered but by the test that does: GLib's own isolation of folders leaks memory. */
    g_autofree char *folder = g_dir_make_tmp("test-cli-XXXXXX", NULL);
    g_setenv("XDG_CONFIG_HOME", folder, TRUE);
    g_unsetenv("TENKYU_URL");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cli/command/table", test_table);
    g_test_add_func("/cli/command/find", test_find);
    g_test_add_func("/cli/command/arguments", test_arguments);
    g_test_add_func("/cli/command/arguments-bad", test_arguments_bad);
    g_test_add_func("/cli/help/usage", test_usage);
    g_test_add_func("/cli/help/complete", test_complete);
    g_test_add_func("/cli/objects/choose", test_choose);
    g_test_add_func("/cli/objects/sort", test_sort);
    g_test_add_func("/cli/spec/defaults", test_spec_defaults);
    g_test_add_func("/cli/spec/disks", test_spec_disks);
    g_test_add_func("/cli/spec/many-disks", test_spec_many_disks);
    g_test_add_func("/cli/spec/other-devices", test_spec_other_devices);
    g_test_add_func("/cli/spec/bad", test_spec_bad);
    g_test_add_func("/cli/server/file", test_server_file);
    int status = g_test_run();
    (void)file_remove_tree(AT_FDCWD, folder);
    return status;
}
