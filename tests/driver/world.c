/* Reads the text of a world. One statement a line; `#` begins a comment; `*` names every board. See README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static void default_board(board_t *board, unsigned index) {
    memset(board, 0, sizeof *board);
    board->index = board->minor = index;
    board->memory_mib = 81559;
    board->reserved_mib = 551;
    board->power_mw = 350000;
    board->busy = 80;
    board->temperature = 50;
    strcpy(board->name, "NVIDIA H100 80GB HBM3");
    snprintf(board->uuid, WORD, "GPU-%08x-0000-4000-8000-%012x", index, index);
    snprintf(board->bus_id, WORD, "00000000:%02X:00.0", index + 16);
    snprintf(board->serial, WORD, "16500000000%02u", index);
}

static int add_process(board_t *board, process_t process) {
    if (board->processes_count == MOST_PROCESSES) return -1;
    board->processes[board->processes_count++] = process;
    return 0;
}

static void default_world(world_t *world) {
    memset(world, 0, sizeof *world);
    world->boards_count = 8;
    world->energy_since_us = 1767225600000000ull; /* 2026-01-01 */
    world->period_us = 1000000;
    world->buffered = 120;
    for (unsigned i = 0; i < MOST_BOARDS; i++) {
        default_board(&world->boards[i], i);
        for (unsigned n = 0; n < 4; n++) /* beyond any real pid */
            add_process(&world->boards[i],
                        (process_t){4194400 + 4 * i + n, 'C', 10ull << 30, 20, NO_INSTANCE, NO_INSTANCE});
    }
}

static int set_board(board_t *board, const char *key, const char *text) {
    u64 value = strtoull(text, NULL, 0);
    if (!strcmp(key, "name")) snprintf(board->name, WORD, "%s", text);
    else if (!strcmp(key, "uuid")) snprintf(board->uuid, WORD, "%s", text);
    else if (!strcmp(key, "bus_id")) snprintf(board->bus_id, WORD, "%s", text);
    else if (!strcmp(key, "minor")) board->minor = value;
    else if (!strcmp(key, "memory_mib")) board->memory_mib = value;
    else if (!strcmp(key, "power_mw")) board->power_mw = value;
    else if (!strcmp(key, "energy_mj")) board->energy_mj = value;
    else if (!strcmp(key, "busy")) board->busy = value;
    else if (!strcmp(key, "jitter")) board->jitter = value;
    else if (!strcmp(key, "temperature")) board->temperature = value;
    else if (!strcmp(key, "mig")) board->mig = value;
    else if (!strcmp(key, "lost")) board->lost = value;
    else if (!strcmp(key, "throttle")) board->throttle = value;
    else if (!strcmp(key, "ecc_corrected")) board->corrected = value;
    else if (!strcmp(key, "ecc_uncorrected")) board->uncorrected = value;
    else if (!strcmp(key, "remapped_corrected")) board->remapped_corrected = value;
    else if (!strcmp(key, "remapped_uncorrected")) board->remapped_uncorrected = value;
    else if (!strcmp(key, "remap_pending")) board->remap_pending = value;
    else if (!strcmp(key, "remap_failed")) board->remap_failed = value;
    else if (!strcmp(key, "recovery_action")) board->recovery_action = value;
    else if (!strcmp(key, "idle")) board->processes_count = board->busy = 0;
    else return -1;
    return 0;
}

static int on_boards(world_t *world, const char *which, const char *key, const char *text) {
    unsigned first = strcmp(which, "*") ? strtoul(which, NULL, 0) : 0;
    unsigned last = strcmp(which, "*") ? first : MOST_BOARDS - 1;
    if (last >= MOST_BOARDS) return -1;
    for (unsigned i = first; i <= last; i++)
        if (set_board(&world->boards[i], key, text)) return -1;
    return 0;
}

static int add_instance(world_t *world, const char *rest) {
    unsigned board, index;
    instance_t made = {.present = 1};
    int found = sscanf(rest, "%u %u %u %u %u %u %u %95s %95s", &board, &index, &made.gpu_instance,
                       &made.compute_instance, &made.gpu_slices, &made.compute_slices, &made.memory_mib, made.uuid,
                       made.profile);
    if (found != 9 || board >= MOST_BOARDS || index >= MOST_INSTANCES) return -1;
    world->boards[board].mig = 1;
    world->boards[board].instances[index] = made;
    return 0;
}

static int read_process(world_t *world, const char *rest) {
    unsigned board, busy = 0, gpu_instance = NO_INSTANCE, compute_instance = NO_INSTANCE, pid;
    long long mib;
    char type = 'C';
    int found = sscanf(rest, "%u %u %lld %u %c %u %u", &board, &pid, &mib, &busy, &type, &gpu_instance,
                       &compute_instance);
    if (found < 3 || board >= MOST_BOARDS) return -1;
    u64 memory = mib < 0 ? ~0ull : (u64)mib << 20;
    return add_process(&world->boards[board], (process_t){pid, type, memory, busy, gpu_instance, compute_instance});
}

static int add_report(world_t *world, const char *rest, u64 event) {
    report_t made = {.event = event, .gpu_instance = NO_INSTANCE};
    if (world->reports_count == MOST_XIDS || sscanf(rest, "%u %u %u", &made.board, &made.code, &made.gpu_instance) < 1)
        return -1;
    world->reports[world->reports_count++] = made;
    return made.board < MOST_BOARDS ? 0 : -1;
}

static int add_rule(world_t *world, const char *rest, rule_kind_t kind) {
    rule_t made = {.kind = kind, .board = -1};
    if (world->rules_count == MOST_RULES || sscanf(rest, "%95s %llu %d", made.function, &made.value, &made.board) < 1)
        return -1;
    world->rules[world->rules_count++] = made;
    return 0;
}

static int read_line(world_t *world, char *line) {
    char word[WORD] = "", which[WORD] = "", key[WORD] = "";
    int at = 0, value_at = 0;
    line[strcspn(line, "#\n")] = 0;
    if (sscanf(line, "%95s %n", word, &at) < 1) return 0;
    const char *rest = line + at;
    if (!strcmp(word, "board")) {
        if (sscanf(rest, "%95s %95s %n", which, key, &value_at) < 2) return -1;
        return on_boards(world, which, key, rest + value_at);
    }
    if (!strcmp(word, "process")) return read_process(world, rest);
    if (!strcmp(word, "instance")) return add_instance(world, rest);
    if (!strcmp(word, "xid")) return add_report(world, rest, nvmlEventTypeXidCriticalError);
    if (!strcmp(word, "recut")) return add_report(world, rest, nvmlEventMigConfigChange);
    if (!strcmp(word, "hang")) return add_rule(world, rest, HANG);
    if (!strcmp(word, "crash")) return add_rule(world, rest, CRASH);
    if (!strcmp(word, "slow")) return add_rule(world, rest, SLOW);
    if (!strcmp(word, "fail")) return add_rule(world, rest, FAIL);
    if (!strcmp(word, "kernel")) return sscanf(rest, "%95s", world->kernel) == 1 ? 0 : -1;
    if (!strcmp(word, "boards")) world->boards_count = strtoul(rest, NULL, 0);
    else if (!strcmp(word, "energy_since_us")) world->energy_since_us = strtoull(rest, NULL, 0);
    else if (!strcmp(word, "period_us")) world->period_us = strtoull(rest, NULL, 0);
    else if (!strcmp(word, "buffered")) world->buffered = strtoull(rest, NULL, 0);
    else return -1;
    return world->boards_count <= MOST_BOARDS && world->period_us ? 0 : -1;
}

int read_world(const char *path, world_t *into) {
    default_world(into);
    char line[512];
    int number = 0, wrong = 0;
    FILE *file = path && *path ? fopen(path, "re") : NULL;
    if (path && *path && !file) return -1;
    while (file && !wrong && fgets(line, sizeof line, file)) {
        number++;
        if (read_line(into, line)) wrong = number;
    }
    if (file) fclose(file);
    return wrong;
}
