/* A driver library in C with one board, for tests that load a real shared object. Built by test_devices_library.py. */
#include <stddef.h>
#include <string.h>

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } process_v3;
typedef struct {
    unsigned field, scope; long long timestamp, latency; int type, code; unsigned long long value;
} field_value;

static int device;
static unsigned long long energy_mj = 41;

static int put(char *out, unsigned size, const char *text) {
    if (strlen(text) + 1 > size) return 7;
    strcpy(out, text);
    return 0;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *out, unsigned size) { return put(out, size, "999.1"); }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = &device; return index ? 2 : 0; }
int nvmlDeviceGetName(void *handle, char *out, unsigned size) { (void)handle; return put(out, size, "Fake GPU"); }
int nvmlDeviceGetUUID(void *handle, char *out, unsigned size) { (void)handle; return put(out, size, "GPU-fake"); }
int nvmlDeviceGetPciInfo_v3(void *handle, char *info) { (void)handle; memset(info, 0, 68); return 0; }
int nvmlDeviceGetMigMode(void *handle, unsigned *a, unsigned *b) { (void)handle; (void)a; (void)b; return 3; }
int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2 *memory) {
    (void)handle;
    if (memory->version != (sizeof(memory_v2) | 2u << 24)) return 25;
    memory->total = 1000; memory->reserved = 10; memory->free = 790; memory->used = 200;
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *handle, unsigned *rates) { (void)handle; rates[0] = 37; rates[1] = 5; return 0; }
int nvmlDeviceGetFieldValues(void *handle, int count, field_value *values) {
    (void)handle;
    for (int i = 0; i < count; i++) {
        values[i].code = values[i].field == 83 ? 0 : 3;
        values[i].type = 3;
        values[i].value = energy_mj;
    }
    energy_mj++;
    return 0;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *power) { (void)handle; *power = 51000; return 0; }
int nvmlDeviceGetTemperature(void *handle, unsigned sensor, unsigned *value) {
    (void)handle;
    *value = 44 + sensor;
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_v3 *out) {
    (void)handle;
    unsigned room = *count;
    *count = 12;
    if (out == NULL || room < 12) return 7;
    for (unsigned i = 0; i < 12; i++) out[i] = (process_v3){100 + i, i ? 10 * i : ~0ull, ~0u, ~0u};
    return 0;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, process_v3 *out) {
    (void)handle;
    if (*count < 1) { *count = 1; return 7; }
    *count = 1;
    out[0] = (process_v3){101, 10, ~0u, ~0u};
    return 0;
}
