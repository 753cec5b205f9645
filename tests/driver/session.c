/* Opening and closing, versions, handles, and what the driver reports on its own. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

static unsigned openings; /* NVML counts them: it is open until each is closed */
static handle_t handles[MOST_BOARDS * (MOST_INSTANCES + 1)];

int is_open(void) { return __atomic_load_n(&openings, __ATOMIC_ACQUIRE) > 0; }

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    __atomic_fetch_add(&openings, 1, __ATOMIC_ACQ_REL);
    nvmlReturn_t code = enter(__func__, NULL);
    if (code != NVML_SUCCESS) __atomic_fetch_sub(&openings, 1, __ATOMIC_ACQ_REL);
    else __atomic_fetch_add(&page()->openings, 1, __ATOMIC_RELAXED);
    return code;
}

nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
nvmlReturn_t nvmlInit(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown(void) {
    if (!is_open()) return NVML_ERROR_UNINITIALIZED;
    __atomic_fetch_sub(&openings, 1, __ATOMIC_ACQ_REL);
    return NVML_SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t result) { return result == NVML_SUCCESS ? "Success" : "an NVML error"; }

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    ENTER(NULL);
    return put_text(version, length, DRIVER_VERSION);
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length) {
    ENTER(NULL);
    return put_text(version, length, "13." DRIVER_VERSION);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ENTER(NULL);
    *version = 13000;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
    ENTER(NULL);
    *count = world()->boards_count; /* a lost board still counts */
    return NVML_SUCCESS;
}

nvmlDevice_t device_of(unsigned board, int part) {
    handle_t *handle = &handles[board * (MOST_INSTANCES + 1) + part + 1];
    *handle = (handle_t){board, part};
    return (nvmlDevice_t)handle;
}

const handle_t *handle_of(const void *device) {
    const handle_t *handle = device;
    int known = handle >= handles && handle < handles + MOST_BOARDS * (MOST_INSTANCES + 1);
    return known && handle->board < world()->boards_count ? handle : NULL;
}

const board_t *board_of(nvmlDevice_t device) { return &world()->boards[((const handle_t *)device)->board]; }

const instance_t *instance_of(nvmlDevice_t device) {
    int part = ((const handle_t *)device)->part;
    return part < 0 ? NULL : &board_of(device)->instances[part];
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) {
    ENTER(NULL);
    const world_t *now = world();
    if (index >= now->boards_count) return NVML_ERROR_INVALID_ARGUMENT;
    if (now->boards[index].lost) return NVML_ERROR_GPU_IS_LOST;
    *device = device_of(index, -1);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    ENTER(NULL);
    const world_t *now = world();
    for (unsigned i = 0; i < now->boards_count; i++)
        for (int part = -1; part < MOST_INSTANCES; part++) {
            const instance_t *instance = part < 0 ? NULL : &now->boards[i].instances[part];
            if (instance && !instance->present) continue;
            if (strcmp(instance ? instance->uuid : now->boards[i].uuid, uuid)) continue;
            if (now->boards[i].lost) return NVML_ERROR_GPU_IS_LOST;
            *device = device_of(i, part);
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device) {
    ENTER(NULL);
    const world_t *now = world();
    for (unsigned i = 0; i < now->boards_count; i++)
        if (!strcasecmp(now->boards[i].bus_id, bus_id)) {
            *device = device_of(i, -1);
            return now->boards[i].lost ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

/* An event set hears what is reported after it was made: nothing is told twice, and nothing is told again. */
typedef struct {
    unsigned heard;
    u64 wanted[MOST_BOARDS];
} event_set_t;

#define EVENTS (nvmlEventTypeXidCriticalError | nvmlEventMigConfigChange)

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
    ENTER(NULL);
    event_set_t *made = calloc(1, sizeof *made);
    made->heard = world()->reports_count;
    *set = (nvmlEventSet_t)made;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
    ENTER(NULL);
    free(set);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, u64 *types) {
    ENTER_BOARD(device);
    (void)board;
    *types = EVENTS;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, u64 types, nvmlEventSet_t set) {
    ENTER_BOARD(device);
    if (types & ~EVENTS) return NVML_ERROR_NOT_SUPPORTED;
    ((event_set_t *)set)->wanted[board->index] |= types;
    return NVML_SUCCESS;
}

static int next_event(event_set_t *set, nvmlEventData_t *data) {
    const world_t *now = world();
    if (set->heard > now->reports_count) set->heard = now->reports_count; /* the world began anew */
    while (set->heard < now->reports_count) {
        const report_t *report = &now->reports[set->heard++];
        if (!(set->wanted[report->board] & report->event)) continue;
        u64 code = report->event == nvmlEventTypeXidCriticalError ? report->code : 0;
        *data = (nvmlEventData_t){device_of(report->board, -1), report->event, code, report->gpu_instance, NO_INSTANCE};
        return 1;
    }
    return 0;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned timeout_ms) {
    ENTER(NULL);
    while (!next_event((event_set_t *)set, data)) {
        if (!timeout_ms--) return NVML_ERROR_TIMEOUT;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return NVML_SUCCESS;
}
